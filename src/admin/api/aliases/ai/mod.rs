//! `/api/ai`, as Atamaia has it: providers, models, routes, credentials, the catalogue and how a model is resolved, by
//! numbers.

mod catalog;
mod credentials;
mod models;
mod pricing;
mod providers;
mod resolve;
mod routes;

use super::super::table::Row;

/// What our fields are called here.
pub(super) const FIELDS: [(&str, &str); 8] = [
    ("timeoutMs", "timeoutSeconds"),
    ("stripPrefix", "stripPrefixInRequests"),
    ("deployment", "configJson"),
    ("apiVersion", "configJson"),
    ("region", "configJson"),
    ("local", "isLocal"),
    ("localPath", "localModelPath"),
    ("prices", "inputCostPer1M"),
];

pub(super) fn rows() -> Vec<Row> {
    let all = [
        providers::rows(),
        models::rows(),
        routes::rows(),
        resolve::rows(),
        catalog::rows(),
        credentials::rows(),
        pricing::rows(),
    ];
    all.into_iter().flatten().collect()
}
