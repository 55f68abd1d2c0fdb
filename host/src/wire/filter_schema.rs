//! The schema of filters: their keys are half fixed, half the client's own, which no derived schema can say.

use std::borrow::Cow;

use utoipa::openapi::schema::{
    AdditionalProperties, AnyOfBuilder, ArrayBuilder, KnownFormat, ObjectBuilder, SchemaFormat, Type,
};
use utoipa::openapi::{Ref, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::FilterBody;

const NAME: &str = "FilterBody";
const KEYS: &str = r"^(file_type|tags|document_id|filename|upload_time|and|or|not|metadata(\.[^.]+)+)$";
const DESCRIPTION: &str = "A condition on documents and chunks, e.g. `{\"file_type\": [\"pdf\", \"md\"], \"upload_time\": \
    {\"gte\": \"2026-01-01\"}, \"metadata.author\": \"x\", \"not\": {\"tags\": {\"any\": [\"draft\"]}}}`. Several keys mean all of \
    them. Beside those below, keys are `metadata.<path>`. A value is a scalar, a list (any of), or an object of `any`, \
    `all`, `gt`, `gte`, `lt`, `lte`, `exists`. Filters nest at most 16 deep and have at most 10,000 values.";

impl PartialSchema for FilterBody {
    fn schema() -> RefOr<Schema> {
        let equals = &["any"][..];
        ObjectBuilder::new()
            .schema_type(Type::Object)
            .description(Some(DESCRIPTION))
            .property("file_type", condition(&text(), equals, &[]))
            .property("filename", condition(&text(), equals, &[]))
            .property("document_id", condition(&formatted(KnownFormat::Uuid), equals, &[]))
            .property("tags", condition(&text(), &["any", "all"], &[]))
            .property("upload_time", condition(&moment(), equals, &BOUNDS))
            .property("and", filters())
            .property("or", filters())
            .property("not", Ref::from_schema_name(NAME))
            .property_names(Some(ObjectBuilder::new().pattern(Some(KEYS)).build()))
            .additional_properties(Some(AdditionalProperties::from(metadata())))
            .build()
            .into()
    }
}

impl ToSchema for FilterBody {
    fn name() -> Cow<'static, str> {
        NAME.into()
    }
}

const BOUNDS: [&str; 4] = ["gt", "gte", "lt", "lte"];

/// What a field must be: a value, one of several, or what the operators say.
fn condition(value: &RefOr<Schema>, lists: &[&str], bounds: &[&str]) -> RefOr<Schema> {
    operators(value, value, lists, bounds)
}

fn operators(value: &RefOr<Schema>, bound: &RefOr<Schema>, lists: &[&str], bounds: &[&str]) -> RefOr<Schema> {
    let several: RefOr<Schema> = ArrayBuilder::new().items(value.clone()).build().into();
    let one_or_several: RefOr<Schema> = AnyOfBuilder::new().item(value.clone()).item(several.clone()).into();
    let mut object = ObjectBuilder::new().schema_type(Type::Object).min_properties(Some(1));
    for name in lists {
        object = object.property(*name, one_or_several.clone());
    }
    for name in bounds {
        object = object.property(*name, bound.clone());
    }
    let exists = ObjectBuilder::new().schema_type(Type::Boolean).build();
    let object =
        object.property("exists", exists).additional_properties(Some(AdditionalProperties::FreeForm(false)));
    AnyOfBuilder::new().item(value.clone()).item(several).item(object.build()).into()
}

/// The client's own data: text, number or truth.
fn metadata() -> RefOr<Schema> {
    let of = |kind| RefOr::from(ObjectBuilder::new().schema_type(kind).build());
    let bound = || AnyOfBuilder::new().item(text()).item(of(Type::Number));
    let value = bound().item(of(Type::Boolean));
    operators(&value.into(), &bound().into(), &["any", "all"], &BOUNDS)
}

/// A moment, or a day that means its first moment.
fn moment() -> RefOr<Schema> {
    AnyOfBuilder::new().item(formatted(KnownFormat::DateTime)).item(formatted(KnownFormat::Date)).into()
}

fn text() -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::String).build().into()
}

fn formatted(format: KnownFormat) -> RefOr<Schema> {
    let format = Some(SchemaFormat::KnownFormat(format));
    ObjectBuilder::new().schema_type(Type::String).format(format).build().into()
}

fn filters() -> RefOr<Schema> {
    ArrayBuilder::new().items(Ref::from_schema_name(NAME)).build().into()
}
