use crate::serve::receive::{Heard, Receipt};
use anyhow::{Result, bail};
use bytes::Bytes;
use outbound::{Answer, Client, Manners, Url};
use std::net::SocketAddr;
use std::time::Duration;

/// The process of the receivers, to be asked what came.
#[derive(Clone)]
pub(super) struct Receivers {
    client: Client,
    at: Url,
}

impl Receivers {
    pub(super) fn at(control: SocketAddr) -> Result<Self> {
        let manners = Manners { deadline: Duration::from_mins(1), max_answer: 1 << 30, ..Manners::default() };
        Ok(Self {
            client: Client::for_operator_addresses(&manners)?,
            at: format!("http://{control}/").parse()?,
        })
    }

    /// From now on tokens of these keys are good, and nothing has come.
    pub(super) async fn begin(&self, keys: &[u8]) -> Result<()> {
        self.post("begin", Bytes::copy_from_slice(keys)).await.map(drop)
    }

    /// How many have come, once it is that many or a moment has passed.
    pub(super) async fn seen(&self, count: usize) -> Result<usize> {
        let answer = self.client.get(&self.at.join(&format!("seen/{count}"))?).send().await?.success()?;
        Ok(std::str::from_utf8(answer.body())?.parse()?)
    }

    /// What came since the last time; an error when anything of it was wrong.
    pub(super) async fn end(&self) -> Result<Vec<Receipt>> {
        let Heard { receipts, wrong } = self.post("end", Bytes::new()).await?.json()?;
        match wrong {
            Some(wrong) => bail!("a receiver found fault: {wrong}"),
            None => Ok(receipts),
        }
    }

    async fn post(&self, path: &str, body: Bytes) -> Result<Answer> {
        Ok(self.client.post(&self.at.join(path)?, body).send().await?.success()?)
    }
}
