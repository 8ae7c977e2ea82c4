//! Input as a type of the application's own.
//!
//! What must stay true: what a client did wrong is a 400 that names the place, and nothing that it
//! sent is repeated at length or with control characters.

use super::Request;
use crate::HttpError;
#[cfg(feature = "forms")]
use crate::forms::{FormErrors, check::read_all};
use crate::message::{Message, plain};
#[cfg(any(feature = "json", feature = "forms"))]
use serde::de::DeserializeOwned;
use std::fmt::{Display, Write};
use std::str::FromStr;

impl Request {
    /// What a wildcard of the route matched, as a type that can be read from text.
    ///
    /// ```
    /// use greenway_app::{App, HttpError, Request, testing::Client};
    ///
    /// let mut app = App::new();
    /// app.get("/page/<number>", |request: Request| {
    ///     let number: u8 = request.param_as("number")?;
    ///     Ok::<_, HttpError>(format!("page {number}"))
    /// });
    /// let client = Client::new(app);
    /// assert_eq!(client.get("/page/7").send().text(), "page 7");
    /// let reply = client.get("/page/700").send();
    /// assert_eq!(reply.status(), 400);
    /// assert!(reply.text().contains("number: is too large a number"));
    /// ```
    ///
    /// # Errors
    ///
    /// 400 with the name of the wildcard, and what the type says of the text.
    ///
    /// # Panics
    ///
    /// When the route has no such wildcard.
    pub fn param_as<T: FromStr<Err: Display>>(&self, name: &str) -> Result<T, HttpError> {
        self.param(name)
            .parse()
            .map_err(|error: T::Err| wrong(name, &plain(&error.to_string())))
    }
}

#[cfg(feature = "json")]
impl Request {
    /// The body as JSON, of at most [`Limits::memory`](crate::Limits::memory) bytes.
    ///
    /// ```
    /// use greenway_app::{HttpError, Request, testing::Client};
    ///
    /// #[derive(serde::Deserialize)]
    /// struct Point { x: i32, y: i32 }
    ///
    /// fn sum(request: Request) -> Result<String, HttpError> {
    ///     let point: Point = request.json()?;
    ///     Ok(format!("{}", point.x + point.y))
    /// }
    ///
    /// let client = Client::new(sum);
    /// let post = |body: &'static str| {
    ///     client.post("/").header("content-type", "application/json").body(body).send()
    /// };
    /// assert_eq!(post(r#"{"x": 1, "y": 2}"#).text(), "3");
    /// let reply = post(r#"{"x": 1, "y": "two"}"#);
    /// assert_eq!(reply.status(), 400);
    /// assert!(reply.text().contains("y: invalid type: string \"two\", expected i32"));
    /// ```
    ///
    /// # Errors
    ///
    /// 415 if the Content-Type is neither `application/json` nor one that ends with `+json`, 413
    /// for a longer body, 400 with the place of the mistake if it is not JSON or not a `T`; and as
    /// [`body`](Request::body).
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, HttpError> {
        let content_type = self.content_type().unwrap_or("");
        if !crate::media_type::MediaType::parse(content_type).is_json() {
            return Err(HttpError::new(
                415,
                "the Content-Type must be application/json",
            ));
        }
        let body = self.body(self.limits().memory)?;
        // To know the place of a mistake costs half as much again, so it is found out for a mistake.
        serde_json::from_slice(&body).or_else(|_| explained(&body))
    }
}

/// Reads JSON that is wrong once more, to say where.
#[cfg(feature = "json")]
#[cold]
#[inline(never)]
fn explained<T: DeserializeOwned>(body: &[u8]) -> Result<T, HttpError> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut json)
        .map_err(|error| wrong(&error.path().to_string(), error.inner()))?;
    json.end().map_err(|error| wrong("", &error))?;
    Ok(value)
}

#[cfg(feature = "forms")]
impl Request {
    /// The text fields of the form as a struct; see [`form`](Request::form). Repeated fields make
    /// a `Vec`, absent and empty ones a `None`. The `csrf_token` of a form need not be a field of
    /// the struct, even if that denies unknown ones.
    ///
    /// ```
    /// use greenway_app::{HttpError, Request, testing::Client};
    ///
    /// #[derive(serde::Deserialize)]
    /// struct Order { dish: String, count: u8, #[serde(default)] extra: Vec<String> }
    ///
    /// fn order(request: Request) -> Result<String, HttpError> {
    ///     let order: Order = request.form_as()?;
    ///     Ok(format!("{} {} with {}", order.count, order.dish, order.extra.join(" and ")))
    /// }
    ///
    /// let client = Client::new(order);
    /// let post = |body: &'static str| {
    ///     let form = "application/x-www-form-urlencoded";
    ///     client.post("/").header("content-type", form).body(body).send()
    /// };
    /// let reply = post("dish=soup&count=2&extra=salt&extra=ice");
    /// assert_eq!(reply.text(), "2 soup with salt and ice");
    /// let reply = post("dish=soup&count=many");
    /// assert_eq!(reply.status(), 400);
    /// assert!(reply.text().contains("count: must be a whole number"));
    /// ```
    ///
    /// # Errors
    ///
    /// 400 with all fields that are wrong, whose source are the
    /// [`FormErrors`](crate::forms::FormErrors); and as [`form`](Request::form).
    pub fn form_as<T: DeserializeOwned>(&self) -> Result<T, HttpError> {
        Ok(self.form_or_errors()??)
    }

    /// As [`form_as`](Request::form_as), for a handler that shows the form again: what is wrong with
    /// it, field by field, is a value. What the visitor has typed is still in
    /// [`form`](Request::form), and in templates in `request.form`.
    ///
    /// ```
    /// use greenway_app::{HttpError, Request, testing::Client};
    ///
    /// #[derive(serde::Deserialize)]
    /// struct Order { dish: String, count: u8 }
    ///
    /// fn order(request: Request) -> Result<(u16, String), HttpError> {
    ///     Ok(match request.form_or_errors::<Order>()? {
    ///         Ok(order) => (201, format!("{} {}", order.count, order.dish)),
    ///         Err(errors) => (422, format!("{:?}", errors.iter().collect::<Vec<_>>())),
    ///     })
    /// }
    ///
    /// let reply = Client::new(order).post("/").form([("count", "many")]).send();
    /// assert_eq!(reply.status(), 422);
    /// assert_eq!(
    ///     reply.text(),
    ///     r#"[("count", "must be a whole number"), ("dish", "is missing")]"#,
    /// );
    /// ```
    ///
    /// # Errors
    ///
    /// As [`form`](Request::form).
    pub fn form_or_errors<T: DeserializeOwned>(&self) -> Result<Result<T, FormErrors>, HttpError> {
        Ok(pairs_as(self.form()?.iter()))
    }

    /// The query string as a struct, as [`form_as`](Request::form_as) does it for forms.
    ///
    /// # Errors
    ///
    /// 400 with the name of what is wrong.
    pub fn query_as<T: DeserializeOwned>(&self) -> Result<T, HttpError> {
        let pairs = form_urlencoded::parse(self.query_string().as_bytes());
        Ok(deserialize(pairs)?)
    }

    /// All wildcards of the route as a struct.
    ///
    /// ```
    /// use greenway_app::{App, HttpError, Request, testing::Client};
    ///
    /// #[derive(serde::Deserialize)]
    /// struct Place { year: u16, slug: String }
    ///
    /// let mut app = App::new();
    /// app.get("/<year>/<slug>", |request: Request| {
    ///     let place: Place = request.params_as()?;
    ///     Ok::<_, HttpError>(format!("{} in {}", place.slug, place.year))
    /// });
    /// let client = Client::new(app);
    /// assert_eq!(client.get("/1815/ada").send().text(), "ada in 1815");
    /// assert_eq!(client.get("/now/ada").send().status(), 400);
    /// ```
    ///
    /// # Errors
    ///
    /// 400 with the name of what is wrong.
    pub fn params_as<T: DeserializeOwned>(&self) -> Result<T, HttpError> {
        Ok(pairs_as(self.params())?)
    }
}

#[cfg(feature = "forms")]
fn pairs_as<'a, T: DeserializeOwned>(
    pairs: impl Iterator<Item = (&'a str, &'a str)>,
) -> Result<T, FormErrors> {
    // What reads structs from pairs, reads them from their encoded form only.
    let encoded = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish();
    deserialize(form_urlencoded::parse(encoded.as_bytes()))
}

#[cfg(feature = "forms")]
fn deserialize<T: DeserializeOwned>(pairs: form_urlencoded::Parse<'_>) -> Result<T, FormErrors> {
    // As for JSON: the places of mistakes are looked for when there are any.
    T::deserialize(serde_html_form::Deserializer::new(pairs)).or_else(|_| read_all(pairs))
}

/// The 400 for a mistake at this place, which is empty or a dot where it is nowhere.
fn wrong(path: &str, error: &dyn Display) -> HttpError {
    let mut message = Message::default();
    // It fails when the message is full, and then there is nothing left to do.
    let _ = match path {
        "" | "." => write!(message, "{error}"),
        _ => write!(message, "{path}: {error}"),
    };
    HttpError::new(400, message.text)
}

#[cfg(all(test, feature = "json", feature = "forms"))]
mod tests {
    use crate::testing::{Client, Reply};
    use crate::{HttpError, Request};
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Person {
        name: String,
        age: Option<u8>,
        #[serde(default)]
        tags: Vec<String>,
    }

    fn shown(person: &Person) -> String {
        format!("{} {:?} {:?}", person.name, person.age, person.tags)
    }

    fn post(content_type: &str, body: &str) -> Reply {
        let app = |request: Request| -> Result<String, HttpError> {
            Ok(match request.content_type() {
                Some(json) if json.contains("json") => shown(&request.json()?),
                _ => shown(&request.form_as()?),
            })
        };
        let client = Client::new(app);
        let post = client.post("/").header("content-type", content_type);
        post.body(body.to_owned()).send()
    }

    #[test]
    fn json_says_what_is_wrong_and_where() {
        for (body, status, says) in [
            (
                r#"{"name": "é", "age": 7, "tags": ["a"]}"#,
                200,
                r#"é Some(7) ["a"]"#,
            ),
            (r#"{"name": "x"}"#, 200, "x None []"),
            (
                r#"{"name": "x", "age": 300}"#,
                400,
                "age: invalid value: integer `300`, expected u8",
            ),
            (
                r#"{"name": "x", "tags": ["a", 1]}"#,
                400,
                "tags[1]: invalid type: integer `1`",
            ),
            (r#"{"age": 1}"#, 400, "missing field `name`"),
            (
                r#"{"name": "x", "b\u0007ad": 1}"#,
                400,
                "unknown field `b ad`",
            ),
            (r#"{"name": "x"} x"#, 400, "trailing characters at line 1"),
            (r#"{"name": "#, 400, "EOF while parsing"),
            ("", 400, "EOF while parsing"),
        ] {
            let reply = post("application/json", body);
            assert_eq!(reply.status(), status, "{body}");
            assert!(reply.text().contains(says), "{body}: {}", reply.text());
        }
        let long = format!(r#"{{"name": "x", "{}": 1}}"#, "y".repeat(10_000));
        assert!(post("application/json", &long).text().chars().count() < 400);
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(post("application/json", &deep).status(), 400);
        assert_eq!(post("application/json", &" ".repeat(2 << 20)).status(), 413);
    }

    #[test]
    fn json_needs_its_type() {
        let app = |request: Request| request.json::<u8>().map(|n| n.to_string());
        for (content_type, status) in [
            ("application/json", 200),
            ("application/vnd.api+json; charset=utf-8", 200),
            ("text/plain", 415),
            ("application/x-www-form-urlencoded", 415),
            ("", 415),
        ] {
            let client = Client::new(app);
            let post = client.post("/").header("content-type", content_type);
            assert_eq!(post.body("7").send().status(), status, "{content_type}");
        }
        assert_eq!(Client::new(app).post("/").body("7").send().status(), 415);
    }

    #[test]
    fn forms_say_what_is_wrong_and_where() {
        for (body, status, says) in [
            (
                "name=%C3%A9+x&age=7&tags=a&tags=b",
                200,
                r#"é x Some(7) ["a", "b"]"#,
            ),
            ("name=&age=", 200, " None []"),
            (
                "name=x&age=seven",
                400,
                "400 Bad Request: age: must be a whole number\n",
            ),
            ("age=7", 400, "name: is missing"),
            ("age=7&name=x&name=y", 400, "name: was sent more than once"),
            ("name=x&other=1", 400, "other: is no field of this form"),
            ("name=x&csrf_token=1", 200, "x None []"),
            (
                "age=300&other=1&csrf_token=1",
                400,
                "age: is too large a number; other: is no field of this form; name: is missing\n",
            ),
        ] {
            let reply = post("application/x-www-form-urlencoded", body);
            assert_eq!(reply.status(), status, "{body}");
            assert!(reply.text().contains(says), "{body}: {}", reply.text());
        }
    }

    #[test]
    fn all_that_is_wrong_is_told_whatever_the_types_are() {
        #[derive(Debug, Deserialize)]
        #[serde(rename_all = "lowercase")]
        enum Size {
            Small,
            Large,
        }

        #[derive(Debug, Deserialize)]
        #[serde(transparent)]
        #[expect(dead_code, reason = "it is shown with the order")]
        struct Id(std::num::NonZeroU16);

        #[derive(Debug, Deserialize)]
        #[expect(dead_code, reason = "it is shown as a whole")]
        struct Order {
            id: Id,
            size: Size,
            price: f32,
            gift: bool,
            letter: char,
            to: std::net::IpAddr,
            #[serde(default)]
            extras: Vec<u8>,
            note: String,
        }

        let app = |request: Request| -> Result<String, HttpError> {
            Ok(match request.form_or_errors::<Order>()? {
                Ok(order) => format!("{order:?}"),
                Err(errors) => {
                    let lines = errors
                        .iter()
                        .map(|(field, text)| format!("{field} {text}\n"));
                    lines.collect()
                }
            })
        };
        let client = Client::new(app);
        let all = [
            ("id", "0"),
            ("size", "huge"),
            ("price", "x"),
            ("gift", "maybe"),
            ("letter", "ab"),
            ("extras", "1"),
            ("extras", "y"),
        ];
        // An address is none of what may stand in for it, so it is the last that is looked at.
        assert_eq!(
            client.post("/").form(all).send().text(),
            "id must not be 0\nsize must be \"small\" or \"large\"\nprice must be a number\n\
             gift must be \"true\", \"on\" or \"false\"\nletter must be a character\n\
             extras must be a whole number\nto is missing\n"
        );
        let good = [
            ("id", "7"),
            ("size", "small"),
            ("price", "1.5"),
            ("gift", "true"),
        ];
        let good = good
            .into_iter()
            .chain([("letter", "a"), ("to", "::1"), ("note", "n")]);
        assert!(
            client
                .post("/")
                .form(good)
                .send()
                .text()
                .contains("extras: []")
        );
    }

    #[test]
    fn maps_and_lists_of_pairs_are_read_as_well() {
        let map = Client::new(|request: Request| {
            let all: std::collections::BTreeMap<String, u8> = request.form_as()?;
            Ok(format!("{all:?}"))
        });
        assert_eq!(
            map.post("/").form([("b", "1"), ("a", "2")]).send().text(),
            r#"{"a": 2, "b": 1}"#
        );
        let reply = map.post("/").form([("b", "x"), ("a", "y")]).send();
        assert_eq!(
            reply.text(),
            "400 Bad Request: b: must be a whole number; a: must be a whole number\n"
        );
        let pairs = Client::new(|request: Request| {
            let all: Vec<(String, u8)> = request.form_as()?;
            Ok(format!("{all:?}"))
        });
        assert_eq!(
            pairs.post("/").form([("a", "1")]).send().text(),
            r#"[("a", 1)]"#
        );
        let reply = pairs.post("/").form([("a", "x")]).send();
        assert_eq!(reply.text(), "400 Bad Request: must be a whole number\n");
    }

    #[test]
    fn queries_and_params() {
        let mut app = crate::App::new();
        app.get("/<age>/<name>", |request: Request| {
            let person: Person = request.params_as()?;
            Ok::<_, HttpError>(shown(&person))
        })
        .get("/query", |request: Request| {
            let person: Person = request.query_as()?;
            Ok::<_, HttpError>(shown(&person))
        })
        .get("/<id>", |request: Request| {
            let id: std::net::IpAddr = request.param_as("id")?;
            Ok::<_, HttpError>(id.to_string())
        });
        let client = Client::new(app);
        for (target, status, says) in [
            ("/7/a%26b", 200, "a&b Some(7) []"),
            ("/x/ada", 400, "age: must be a whole number"),
            ("/query?name=x&tags=1&tags=2", 200, r#"x None ["1", "2"]"#),
            ("/query?name=x&age=-1", 400, "age: must be a whole number"),
            ("/::1", 200, "::1"),
            ("/nonsense", 400, "id: invalid IP address syntax"),
        ] {
            let reply = client.get(target).send();
            assert_eq!(reply.status(), status, "{target}");
            assert!(reply.text().contains(says), "{target}: {}", reply.text());
        }
    }
}
