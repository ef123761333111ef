//! Who else may write to the field's tables.

use store::{Engine, Operation, StoreError, Tx};

store::statements! {
    /// Everybody but whoever asks: by grants of their own, or by what is granted to all.
    static WRITERS = per_engine {
        sqlite: "select '' where 1 = 0",
        postgres: "select distinct grantee::text collate \"C\" from information_schema.table_privileges
            where table_schema = current_schema() and table_name in ('services', 'nodes', 'users')
                and privilege_type in ('INSERT', 'UPDATE', 'DELETE', 'TRUNCATE') and grantee <> current_user
            order by 1",
    };
    static REVOKE = per_engine {
        sqlite: "select 1",
        postgres: "do $revoke$
            declare
                writer text;
            begin
                for writer in
                    select distinct grantee from information_schema.table_privileges
                    where table_schema = current_schema() and table_name in ('services', 'nodes', 'users')
                        and privilege_type in ('INSERT', 'UPDATE', 'DELETE', 'TRUNCATE') and grantee <> current_user
                loop
                    if writer = 'PUBLIC' then
                        revoke insert, update, delete, truncate on services, nodes, users from public;
                    else
                        execute format(
                            'revoke insert, update, delete, truncate on services, nodes, users from %I', writer);
                    end if;
                end loop;
            end
            $revoke$",
    };
}

/// Takes the right to write to the field's tables from everybody else, who may still read. On SQLite there is nobody else.
pub struct TakeExclusive {
    /// Only tell whose right it is.
    pub dry_run: bool,
}

/// What taking the rights came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exclusive {
    /// Whose right to write was taken (or would be).
    pub writers: Vec<String>,
    /// Who can write nevertheless: their right was given by somebody whose gift cannot be taken back by this user.
    pub left: Vec<String>,
}

impl Operation for TakeExclusive {
    const NAME: &'static str = "tokenserver.take_exclusive";
    type Output = Exclusive;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Exclusive, StoreError> {
        let writers = writers(tx).await?;
        if self.dry_run || writers.is_empty() || tx.engine() == Engine::Sqlite {
            return Ok(Exclusive { writers, left: Vec::new() });
        }
        tx.execute(&REVOKE, &[]).await?;
        let left = self::writers(tx).await?;
        Ok(Exclusive { writers: writers.into_iter().filter(|it| !left.contains(it)).collect(), left })
    }
}

async fn writers(tx: &mut Tx<'_>) -> Result<Vec<String>, StoreError> {
    tx.query(&WRITERS, &[], |row| Ok(row.text(0)?.to_owned())).await
}
