//! What every description (OpenAPI) says of problems: their media type, which handlers need not repeat.

use ledger::Problem;
use utoipa::openapi::content::Content;
use utoipa::openapi::path::Operation;
use utoipa::openapi::{OpenApi, PathItem, RefOr, Response};

const PLAIN: &str = "application/json";
const PROBLEM: &str = "#/components/schemas/Problem";

/// Describes answers that are problems as such.
pub(super) fn name_their_type(api: &mut OpenApi) {
    for operation in api.paths.paths.values_mut().flat_map(operations) {
        for answer in operation.responses.responses.values_mut() {
            if let RefOr::T(answer) = answer {
                name_type(answer);
            }
        }
    }
}

fn operations(path: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let PathItem { get, put, post, delete, options, head, patch, trace, query, .. } = path;
    [get, put, post, delete, options, head, patch, trace, query].into_iter().flatten()
}

fn name_type(answer: &mut Response) {
    let is_problem = |content: &RefOr<Content>| matches!(content, RefOr::T(Content { schema: Some(RefOr::Ref(schema)), .. }) if schema.ref_location == PROBLEM);
    if answer.content.get(PLAIN).is_some_and(is_problem)
        && let Some(content) = answer.content.shift_remove(PLAIN)
    {
        answer.content.insert(Problem::MEDIA_TYPE.to_owned(), content);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use utoipa_axum::router::OpenApiRouter;
    use utoipa_axum::routes;

    #[utoipa::path(get, path = "/thing", responses((status = 200, body = String), (status = 404, body = Problem)))]
    async fn read_thing() -> Result<String, Problem> {
        Err(Problem::not_found("no such thing"))
    }

    #[utoipa::path(delete, path = "/thing", responses((status = 204), (status = 503, body = Problem)))]
    async fn drop_thing() -> Problem {
        Problem::unavailable("not now")
    }

    #[test]
    fn problems_have_their_own_media_type_and_answers_keep_theirs() {
        let mut api = OpenApiRouter::<()>::new().routes(routes!(read_thing, drop_thing)).to_openapi();
        name_their_type(&mut api);
        let api = serde_json::to_value(&api).expect("a description is JSON");
        let types = |method: &str, status: &str| {
            let content = &api["paths"]["/thing"][method]["responses"][status]["content"];
            content.as_object().map(|types| types.keys().cloned().collect::<Vec<_>>()).unwrap_or_default()
        };
        assert_eq!(types("get", "404"), ["application/problem+json"]);
        assert_eq!(types("delete", "503"), ["application/problem+json"]);
        assert_eq!(types("get", "200"), ["text/plain"]);
        assert!(types("delete", "204").is_empty());
    }
}
