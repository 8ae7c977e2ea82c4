//! All that is wrong with a form, where reading it as a struct stops at the first mistake.
//!
//! The form is read again for each mistake that was found: in the place of a field that is known to
//! be wrong, its type is given a value that it is content with, so that reading comes to the next
//! one. What is read with such a value is thrown away.
//!
//! What must stay true: a value is only given away when nothing was put in the place of anything.

use super::errors::FormErrors;
use crate::message::{plain, shortened};
use serde::de::value::SeqDeserializer;
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, IgnoredAny, IntoDeserializer, MapAccess,
    Visitor,
};
use serde::forward_to_deserialize_any;
use std::cell::RefCell;
use std::fmt;

/// Mistakes that are looked for.
const MOST: usize = 30;

/// The field that [`Csrf`](crate::sessions::Csrf) reads, of which the application's struct need not
/// know.
pub(crate) const CSRF_FIELD: &str = "csrf_token";

/// Reads pairs that are wrong until all is known that is wrong with them.
#[cold]
#[inline(never)]
pub(crate) fn read_all<T: DeserializeOwned>(
    pairs: form_urlencoded::Parse<'_>,
) -> Result<T, FormErrors> {
    let mut known = Known::default();
    for _ in 0..MOST {
        let inner = serde_html_form::Deserializer::new(pairs);
        let failed = RefCell::new(None);
        let checked = Checked {
            inner,
            known: &known,
            failed: &failed,
        };
        match T::deserialize(checked) {
            Ok(value) if known.replaced.is_empty() && known.errors.is_empty() => return Ok(value),
            Ok(_) => break,
            Err(error) => {
                if !known.note(error) {
                    break;
                }
            }
        }
    }
    if known.errors.is_empty() {
        // What it is wrong for is no struct.
        let plainly = T::deserialize(serde_html_form::Deserializer::new(pairs));
        match plainly {
            Ok(value) => return Ok(value),
            Err(error) => known.errors.add("", shortened(&plain(&error.to_string()))),
        }
    }
    Err(known.errors)
}

/// What was found so far.
#[derive(Default)]
struct Known {
    errors: FormErrors,
    /// Fields in whose place something is put.
    replaced: Vec<String>,
    /// Fields that are left out.
    ignored: Vec<String>,
}

impl Known {
    /// Notes a mistake. False if it leads no further.
    fn note(&mut self, error: Wrong) -> bool {
        match error {
            Wrong::Field(field, message) => {
                if self.replaced.contains(&field) {
                    return false;
                }
                let message = shortened(&plain(&message));
                self.errors.add(shortened(&field), message);
                self.replaced.push(field);
                true
            }
            Wrong::Unknown(field) => {
                if self.ignored.contains(&field) {
                    return false;
                }
                if field != CSRF_FIELD {
                    self.errors
                        .add(shortened(&field), "is no field of this form");
                }
                self.ignored.push(field);
                true
            }
            // It may be about what was put in a place. Where nothing was, it comes again.
            Wrong::Form(_) => false,
        }
    }
}

/// One mistake.
#[derive(Debug)]
enum Wrong {
    /// A field is missing, or what it is as text is no value of its type.
    Field(String, String),
    Unknown(String),
    /// Something else.
    Form(String),
}

impl de::Error for Wrong {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Form(message.to_string())
    }

    fn missing_field(field: &'static str) -> Self {
        Self::Field(field.to_owned(), "is missing".to_owned())
    }

    fn unknown_field(field: &str, _: &'static [&'static str]) -> Self {
        Self::Unknown(field.to_owned())
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(field, message) => write!(f, "{field}: {message}"),
            Self::Unknown(field) => write!(f, "{field}"),
            Self::Form(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for Wrong {}

/// Reads a struct or a map with an eye on its fields.
struct Checked<'k, D> {
    inner: D,
    known: &'k Known,
    /// What has failed, on its way past an error type that cannot hold it.
    failed: &'k RefCell<Option<Wrong>>,
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Checked<'_, D> {
    type Error = Wrong;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        let failed = self.failed;
        let within = Within {
            visitor,
            known: self.known,
            failed,
        };
        let result = self.inner.deserialize_map(within);
        result.map_err(|error| {
            let told = failed.borrow_mut().take();
            told.unwrap_or_else(|| Wrong::Form(error.to_string()))
        })
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

struct Within<'k, V> {
    visitor: V,
    known: &'k Known,
    failed: &'k RefCell<Option<Wrong>>,
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Within<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.visitor.expecting(f)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<V::Value, A::Error> {
        let entries = Entries {
            inner: map,
            known: self.known,
            field: String::new(),
            replaced: false,
            absent: self.known.replaced.clone(),
        };
        self.visitor.visit_map(entries).map_err(|wrong| {
            *self.failed.borrow_mut() = Some(wrong);
            de::Error::custom("")
        })
    }
}

/// The fields that were sent, but for those that are known to be wrong, and behind them those that
/// are known to be missing.
struct Entries<'k, A> {
    inner: A,
    known: &'k Known,
    field: String,
    /// The value of this field is ours.
    replaced: bool,
    /// Fields to put something in the place of that have not come yet.
    absent: Vec<String>,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Entries<'_, A> {
    type Error = Wrong;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Wrong> {
        let other = |error: A::Error| Wrong::Form(error.to_string());
        self.field = loop {
            match self.inner.next_key::<String>().map_err(other)? {
                Some(field) if self.known.ignored.contains(&field) => {
                    self.inner.next_value::<IgnoredAny>().map_err(other)?;
                }
                Some(field) => {
                    self.replaced = self.known.replaced.contains(&field);
                    if self.replaced {
                        self.inner.next_value::<IgnoredAny>().map_err(other)?;
                        self.absent.retain(|absent| *absent != field);
                    }
                    break field;
                }
                None => match self.absent.pop() {
                    Some(field) => {
                        self.replaced = true;
                        break field;
                    }
                    None => return Ok(None),
                },
            }
        };
        let field: de::value::StrDeserializer<'_, Wrong> = self.field.as_str().into_deserializer();
        seed.deserialize(field).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Wrong> {
        if self.replaced {
            return seed.deserialize(Anything);
        }
        let result = self.inner.next_value_seed(seed);
        result.map_err(|error| Wrong::Field(self.field.clone(), error.to_string()))
    }
}

/// A value that most types are content with.
struct Anything;

macro_rules! anything {
    ($($method:ident $visit:ident $value:expr;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
            visitor.$visit($value)
        }
    )*};
}

impl<'de> Deserializer<'de> for Anything {
    type Error = Wrong;

    anything! {
        deserialize_any visit_borrowed_str "1";
        deserialize_bool visit_bool true;
        deserialize_i8 visit_i64 1;
        deserialize_i16 visit_i64 1;
        deserialize_i32 visit_i64 1;
        deserialize_i64 visit_i64 1;
        deserialize_i128 visit_i128 1;
        deserialize_u8 visit_u64 1;
        deserialize_u16 visit_u64 1;
        deserialize_u32 visit_u64 1;
        deserialize_u64 visit_u64 1;
        deserialize_u128 visit_u128 1;
        deserialize_f32 visit_f64 1.0;
        deserialize_f64 visit_f64 1.0;
        deserialize_char visit_char '1';
        deserialize_seq visit_seq SeqDeserializer::new(std::iter::empty::<u8>());
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_none()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        let first = variants.first().copied().unwrap_or_default();
        let variant: de::value::StrDeserializer<'_, Wrong> = first.into_deserializer();
        visitor.visit_enum(variant)
    }

    forward_to_deserialize_any! {
        str string bytes byte_buf unit unit_struct tuple tuple_struct map struct identifier
        ignored_any
    }
}
