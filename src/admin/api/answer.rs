//! What a handler gives, and how it goes out.

use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::Ref;
use utoipa::openapi::schema::{AllOfBuilder, ArrayBuilder, ObjectBuilder, Schema, SchemaType, Type};

use super::body::Described;
use super::page::cursor;
use crate::directory::Tag;
use crate::directory::page::Paged;
use crate::domain::secret::Secret;

/// One thing, with its tag.
#[derive(Debug)]
pub(crate) struct Shown<T>(pub(crate) T);

/// A report that is nobody's to change, so it has no tag.
#[derive(Debug)]
pub(crate) struct Report<T>(pub(crate) T);

/// One thing shown with more than its tag stands for.
#[derive(Debug)]
pub(crate) struct Detail<T> {
    pub(crate) shown: T,
    pub(crate) tag: Tag,
}

/// All of them at once, as a plain array: for aliases, whose clients know no pages.
#[derive(Debug)]
pub(crate) struct Listed<T>(pub(crate) Vec<T>);

/// What making a thing did, and the path it is now found under.
#[derive(Debug)]
pub(crate) struct Made<T> {
    pub(crate) report: T,
    /// Below `/api/v1`.
    pub(crate) location: String,
}

/// A new thing, with its tag and the path it is now found under.
#[derive(Debug)]
pub(crate) struct Created<T> {
    pub(crate) shown: T,
    /// Below `/api/v1`.
    pub(crate) location: String,
}

/// A new thing with a secret that is in this answer and in no other: a replay has `null` in its place.
#[derive(Debug)]
pub(crate) struct CreatedOnce<T> {
    pub(crate) shown: T,
    pub(crate) location: String,
    /// Stands in the field `token`, beside the thing's own.
    pub(crate) token: Secret,
}

/// A report as a table of comma-separated values.
#[derive(Debug)]
pub(crate) struct Table(pub(crate) String);

/// A page as such a table.
#[derive(Debug)]
pub(crate) struct TablePage(pub(crate) String);

/// Done, with nothing to show.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Done;

/// An answer ready to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ready {
    pub(super) status: StatusCode,
    pub(super) etag: Option<String>,
    pub(super) location: Option<String>,
    pub(super) body: Vec<u8>,
    /// The body as it may be kept, where that is another one.
    pub(super) to_keep: Option<Vec<u8>>,
    pub(super) media: &'static str,
}

/// What nearly every answer is.
pub(super) const JSON: &str = "application/json";

impl Ready {
    fn json(status: StatusCode, shown: &impl Serialize) -> Self {
        // Structs of plain values; what can't be written would be an empty body, which no client takes for one.
        let body = serde_json::to_vec(shown).unwrap_or_default();
        Self { status, etag: None, location: None, body, to_keep: None, media: JSON }
    }
}

/// What may stand behind a handler's arrow.
pub(crate) trait Answer: Send + 'static {
    const STATUS: StatusCode;
    const TAGGED: bool = false;
    const LOCATED: bool = false;
    const PAGED: bool = false;
    const MEDIA: &'static str = JSON;

    fn ready(self) -> Ready;

    fn describe(described: &mut Described);
}

impl<T: Serialize + ToSchema + Send + 'static> Answer for Shown<T> {
    const STATUS: StatusCode = StatusCode::OK;
    const TAGGED: bool = true;

    fn ready(self) -> Ready {
        Ready { etag: Some(Tag::of(&self.0).to_string()), ..Ready::json(Self::STATUS, &self.0) }
    }

    fn describe(described: &mut Described) {
        described.with::<T>();
    }
}

impl<T: Serialize + ToSchema + Send + 'static> Answer for Detail<T> {
    const STATUS: StatusCode = StatusCode::OK;
    const TAGGED: bool = true;

    fn ready(self) -> Ready {
        Ready { etag: Some(self.tag.to_string()), ..Ready::json(Self::STATUS, &self.shown) }
    }

    fn describe(described: &mut Described) {
        described.with::<T>();
    }
}

impl<T: Serialize + ToSchema + Send + 'static> Answer for Listed<T> {
    const STATUS: StatusCode = StatusCode::OK;

    fn ready(self) -> Ready {
        Ready::json(Self::STATUS, &self.0)
    }

    fn describe(described: &mut Described) {
        described.with::<T>();
        let name = format!("{}List", T::name());
        let all = ArrayBuilder::new().items(Ref::from_schema_name(T::name())).build();
        described.schemas.push((name.clone(), Schema::Array(all).into()));
        described.name = Some(name);
    }
}

impl<T: Serialize + ToSchema + Send + 'static> Answer for Made<T> {
    const STATUS: StatusCode = StatusCode::CREATED;
    const LOCATED: bool = true;

    fn ready(self) -> Ready {
        Ready { location: Some(self.location), ..Ready::json(Self::STATUS, &self.report) }
    }

    fn describe(described: &mut Described) {
        described.with::<T>();
    }
}

impl<T: Serialize + ToSchema + Send + 'static> Answer for Report<T> {
    const STATUS: StatusCode = StatusCode::OK;

    fn ready(self) -> Ready {
        Ready::json(Self::STATUS, &self.0)
    }

    fn describe(described: &mut Described) {
        described.with::<T>();
    }
}

impl<T: Serialize + ToSchema + Send + 'static> Answer for Created<T> {
    const STATUS: StatusCode = StatusCode::CREATED;
    const TAGGED: bool = true;
    const LOCATED: bool = true;

    fn ready(self) -> Ready {
        let etag = Some(Tag::of(&self.shown).to_string());
        Ready { etag, location: Some(self.location), ..Ready::json(Self::STATUS, &self.shown) }
    }

    fn describe(described: &mut Described) {
        described.with::<T>();
    }
}

/// A thing with its secret beside its own fields.
#[derive(Serialize)]
struct WithToken<'a, T> {
    #[serde(flatten)]
    shown: &'a T,
    token: Option<&'a str>,
}

impl<T: Serialize + ToSchema + Send + 'static> Answer for CreatedOnce<T> {
    const STATUS: StatusCode = StatusCode::CREATED;
    const TAGGED: bool = true;
    const LOCATED: bool = true;

    fn ready(self) -> Ready {
        let (shown, token) = (&self.shown, std::str::from_utf8(self.token.expose()).ok());
        let kept = Ready::json(Self::STATUS, &WithToken { shown, token: None });
        Ready {
            etag: Some(Tag::of(shown).to_string()),
            location: Some(self.location),
            to_keep: Some(kept.body),
            ..Ready::json(Self::STATUS, &WithToken { shown, token })
        }
    }

    fn describe(described: &mut Described) {
        described.with::<T>();
        let text = "Shown this once: `null` in the replay of an idempotency key.";
        let token = ObjectBuilder::new()
            .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
            .description(Some(text))
            .examples([serde_json::json!("kw_4vfJ…_…_…")]);
        let once = ObjectBuilder::new().property("token", token).required("token");
        let whole = AllOfBuilder::new().item(Ref::from_schema_name(T::name())).item(once).build();
        let name = format!("{}Once", T::name());
        described.schemas.push((name.clone(), Schema::AllOf(whole).into()));
        described.name = Some(name);
    }
}

/// A page of them.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Items<T> {
    items: Vec<T>,
    next_cursor: Option<String>,
}

impl<T: Serialize + ToSchema + Send + 'static> Answer for Paged<T> {
    const STATUS: StatusCode = StatusCode::OK;
    const PAGED: bool = true;

    fn ready(self) -> Ready {
        Ready::json(Self::STATUS, &Items { items: self.items, next_cursor: self.next.map(cursor) })
    }

    fn describe(described: &mut Described) {
        described.with::<T>();
    }
}

const CSV: &str = "text/csv; charset=utf-8";

impl Ready {
    fn csv(text: String) -> Self {
        Self { body: text.into_bytes(), media: CSV, ..Self::json(StatusCode::OK, &()) }
    }
}

impl Answer for Table {
    const STATUS: StatusCode = StatusCode::OK;
    const MEDIA: &'static str = CSV;

    fn ready(self) -> Ready {
        Ready::csv(self.0)
    }

    fn describe(_: &mut Described) {}
}

impl Answer for TablePage {
    const STATUS: StatusCode = StatusCode::OK;
    const PAGED: bool = true;
    const MEDIA: &'static str = CSV;

    fn ready(self) -> Ready {
        Ready::csv(self.0)
    }

    fn describe(_: &mut Described) {}
}

impl Answer for Done {
    const STATUS: StatusCode = StatusCode::NO_CONTENT;

    fn ready(self) -> Ready {
        Ready { status: Self::STATUS, etag: None, location: None, body: Vec::new(), to_keep: None, media: JSON }
    }

    fn describe(_: &mut Described) {}
}
