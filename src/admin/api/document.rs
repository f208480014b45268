//! The OpenAPI document, made from the table and from the types of its handlers.

use http::{Method, StatusCode};
use serde_json::{Value, json};
use utoipa::openapi::content::{Content, ContentBuilder};
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{HttpMethod, OperationBuilder, Parameter, ParameterBuilder, ParameterIn, PathItem, Paths};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::schema::{ArrayBuilder, KnownFormat, ObjectBuilder, SchemaFormat, SchemaType, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{Components, InfoBuilder, OpenApi, OpenApiBuilder, Ref, RefOr, Required, Schema};
use utoipa::{PartialSchema as _, ToSchema as _};

use super::ROOT;
use super::answer::JSON;
use super::problem::Said;
use super::table::{Facts, Needs, Row, alias_rows, rows};
use crate::directory::page::{PAGE_DEFAULT, PAGE_MAX};

const PROBLEM: &str = "application/problem+json";
const TOKEN: &str = "token";

/// The document as JSON.
pub fn openapi() -> String {
    let (mut paths, mut components) = (Paths::new(), Components::new());
    components.schemas.insert(Said::name().into_owned(), Said::schema());
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("A Keyway token: `kw_…`"));
    components.add_security_scheme(TOKEN, SecurityScheme::Http(bearer.build()));
    for row in rows().into_iter().chain(alias_rows()) {
        let facts = (row.facts)();
        for (name, schema) in facts.schemas() {
            components.schemas.insert(name.clone(), schema.clone());
        }
        let (path, method) = (row.written(), method(&row.method));
        paths.add_path_operation(path, vec![method], operation(&row, &facts));
    }
    paths.paths.insert(format!("{ROOT}/openapi.json"), PathItem::new(HttpMethod::Get, this_document()));
    let info = InfoBuilder::new()
        .title("Keyway admin API")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some("Orgs, workspaces, users, tokens, providers, models, routes and credentials of a gateway."));
    let document: OpenApi = OpenApiBuilder::new().info(info).paths(paths).components(Some(components)).build();
    // Plain values that were built above: they can be written.
    let mut document = serde_json::to_value(document).unwrap_or_default();
    say_what_is_meant(&mut document);
    document.to_string()
}

/// Where an inlined schema has a description or a default of its own, that is written as an object which it must be as well;
/// nothing is both a text and an object.
fn say_what_is_meant(value: &mut Value) {
    match value {
        Value::Array(all) => all.iter_mut().for_each(say_what_is_meant),
        Value::Object(fields) => {
            if let Some([_, Value::Object(more)]) =
                fields.get_mut("allOf").and_then(Value::as_array_mut).map(Vec::as_mut_slice)
                && !more.contains_key("properties")
            {
                more.remove("type");
            }
            fields.values_mut().for_each(say_what_is_meant);
        }
        _ => {}
    }
}

fn method(method: &Method) -> HttpMethod {
    match *method {
        Method::POST => HttpMethod::Post,
        Method::PUT => HttpMethod::Put,
        Method::PATCH => HttpMethod::Patch,
        Method::DELETE => HttpMethod::Delete,
        _ => HttpMethod::Get,
    }
}

fn this_document() -> OperationBuilder {
    let ok = ResponseBuilder::new().description("OpenAPI 3.1.").content("application/json", any_object());
    OperationBuilder::new()
        .tag("openapi.json")
        .operation_id(Some("get_openapi"))
        .summary(Some("This document."))
        .response("200", ok)
}

fn any_object() -> Content {
    ContentBuilder::new().schema(Some(ObjectBuilder::new())).build()
}

fn operation(row: &Row, facts: &Facts) -> OperationBuilder {
    let resource = if row.is_alias() { "aliases" } else { row.path.split('/').nth(1).unwrap_or_default() };
    let operation = OperationBuilder::new()
        .tag(resource)
        .operation_id(Some(operation_id(row)))
        .summary(Some(row.summary))
        .description(Some(who(row.needs)))
        .parameters(Some(parameters(row, facts)))
        .request_body(body(row, facts))
        .security(SecurityRequirement::new::<_, [String; 0], String>(TOKEN, []));
    let operation = operation.response(facts.status.as_str(), good(facts));
    problems(row, facts).into_iter().fold(operation, |operation, (status, says)| {
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(Said::name()))).build();
        let response = ResponseBuilder::new().description(says).content(PROBLEM, content);
        let response = match status {
            429 | 503 => response.header("Retry-After", header("Seconds to wait.")),
            _ => response,
        };
        operation.response(status.to_string(), response)
    })
}

/// `patch_orgs_id`: stable, since methods and paths are.
fn operation_id(row: &Row) -> String {
    let path: Vec<&str> = row.path.split(['/', '{', '}', '*']).filter(|part| !part.is_empty()).collect();
    format!("{}_{}", row.method.as_str().to_ascii_lowercase(), path.join("_").replace('-', "_"))
}

fn who(needs: Needs) -> String {
    match needs {
        Needs::Token => "Any living token; it sees what its holder can see.".to_string(),
        Needs::Permission(permission, place) => format!(
            "Takes the permission `{permission:?}` over {}: the role `{}` or more, there.",
            place.words(),
            permission.least_role()
        ),
    }
}

fn parameters(row: &Row, facts: &Facts) -> Vec<Parameter> {
    let mut all: Vec<Parameter> = row.path_names().map(|name| path_parameter(name, row)).collect();
    all.extend(facts.parameters.iter().cloned());
    if facts.paged {
        let limit = ObjectBuilder::new()
            .schema_type(Type::Integer)
            .minimum(Some(1))
            .maximum(Some(PAGE_MAX))
            .default(Some(json!(PAGE_DEFAULT)));
        all.push(parameter("limit", ParameterIn::Query, "Things on a page at most.", limit.into()));
        let says = "Where to go on: `nextCursor` of the page before.";
        all.push(parameter("cursor", ParameterIn::Query, says, text().into()));
    }
    if row.method == Method::POST {
        let says = "The same request with the same key is done once, for a day.";
        let key = text().min_length(Some(1)).max_length(Some(255)).pattern(Some("^[!-~]+$"));
        all.push(parameter("Idempotency-Key", ParameterIn::Header, says, key.into()));
    }
    if row.is_conditional() {
        let says = "An ETag: the change is made only if the thing is still as it was seen then.";
        let tags = text().pattern(Some(r#"^(\*|"[!#-~]*")$"#));
        all.push(parameter("If-Match", ParameterIn::Header, says, tags.into()));
    }
    all
}

fn path_parameter(name: &str, row: &Row) -> Parameter {
    // Aliases take numbers and names too.
    let schema = match !row.is_alias() && (name.ends_with("id") || name.ends_with("Id")) {
        true => text().format(Some(SchemaFormat::KnownFormat(KnownFormat::Uuid))),
        false => text(),
    };
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .schema(Some(RefOr::T(Schema::from(schema))))
        .build()
}

fn parameter(name: &str, place: ParameterIn, says: &str, schema: RefOr<Schema>) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(Required::False)
        .description(Some(says))
        .schema(Some(schema))
        .build()
}

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

fn body(row: &Row, facts: &Facts) -> Option<utoipa::openapi::request_body::RequestBody> {
    let name = facts.takes.name.as_ref()?;
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(name))).build();
    let body = RequestBodyBuilder::new().required(Some(Required::True));
    Some(row.media.iter().fold(body, |body, media| body.content(*media, content.clone())).build())
}

fn good(facts: &Facts) -> Response {
    let response = ResponseBuilder::new().description(match facts.status {
        StatusCode::CREATED => "Made.",
        StatusCode::NO_CONTENT => "Done.",
        _ => "As it is.",
    });
    let response = match &facts.gives.name {
        None if facts.answers != JSON => {
            response.content(facts.answers, ContentBuilder::new().schema(Some(text())).build())
        }
        None => response,
        Some(name) => {
            let schema = if facts.paged { page_of(name) } else { Ref::from_schema_name(name).into() };
            response.content("application/json", ContentBuilder::new().schema(Some(schema)).build())
        }
    };
    let response = match facts.tagged {
        true => response.header("ETag", header("Stands for the thing as it is shown here.")),
        false => response,
    };
    let response = match facts.located {
        true => response.header("Location", header("The path of the new thing.")),
        false => response,
    };
    response.build()
}

fn header(says: &str) -> utoipa::openapi::Header {
    HeaderBuilder::new().schema(Some(text())).description(Some(says)).build()
}

fn page_of(name: &str) -> RefOr<Schema> {
    let next = ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
        .description(Some("Leads to the next page; `null` on the last."));
    let page = ObjectBuilder::new()
        .property("items", ArrayBuilder::new().items(Ref::from_schema_name(name)))
        .required("items")
        .property("nextCursor", next)
        .required("nextCursor");
    RefOr::T(Schema::from(page))
}

/// Every way a request of this row can go wrong.
fn problems(row: &Row, facts: &Facts) -> Vec<(u16, &'static str)> {
    let takes_body = facts.takes.name.is_some();
    let all = [
        (true, 400, "Something in the request is not what it must be; `field` names it."),
        (true, 401, "No token, or none that is known and alive."),
        (true, 403, "The token may see this, but not do it."),
        (true, 404, "There is no such thing, or none that this token may see."),
        (takes_body, 408, "The body did not arrive in time."),
        (row.is_change(), 409, "Something stands against it: a name that is taken, a declared thing, one in use."),
        (row.is_conditional(), 412, "The thing is no longer as `If-Match` says."),
        (takes_body, 413, "The body is too large."),
        (takes_body, 415, "The body is in a media type or coding that is not taken."),
        (row.method == Method::POST, 422, "The idempotency key belongs to another request."),
        (true, 429, "Too many tokens that are none were shown from here, or too much is asked of providers at once."),
        (true, 500, "A fault of the gateway; the log has it under the answer's `X-Keyway-Request-Id`."),
        (row.method == Method::POST, 424, "The provider that was asked did not answer well."),
        (true, 503, "The store can't be asked right now."),
    ];
    all.into_iter().filter(|(holds, ..)| *holds).map(|(_, status, says)| (status, says)).collect()
}
