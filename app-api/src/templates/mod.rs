//! Pages from templates, in the language of Jinja ([`minijinja`]).
//!
//! [`App::templates`] takes a directory, or templates that are part of the program, and
//! [`Request::render`] makes a response of one of them:
//!
//! ```
//! use greenway_app::templates::{Templates, context};
//! use greenway_app::{App, Request, testing::Client};
//!
//! let mut app = App::new();
//! app.templates(Templates::embedded([(
//!     "hello.html",
//!     r#"<p>Hello, {{ name }}! <a href="{{ url_for("hello", name="Bob") }}">And Bob?</a>"#,
//! )]));
//! app.get("/hello/<name>", |request: Request| {
//!     request.render("hello.html", context! { name => request.param("name") })
//! }).name("hello");
//!
//! let reply = Client::new(app).get("/hello/%3CAda%3E").send();
//! assert_eq!(reply.header("content-type"), Some("text/html; charset=utf-8"));
//! assert_eq!(reply.text(), r#"<p>Hello, &lt;Ada&gt;! <a href="/hello/Bob">And Bob?</a>"#);
//! ```
//!
//! What must stay true: no name leads out of the directory, since only what was found there has a
//! name; a mistake in a template is told when the program starts, or is a 500 whose cause is in the
//! log with the template and the line, and never on the page; and no lock of ours is held while a
//! template is rendered, which may wait.

mod error;
mod functions;
mod source;
mod stream;
#[cfg(test)]
mod tests;
#[cfg(feature = "sessions")]
mod visitor;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

pub use minijinja;
pub use minijinja::context;
pub use minijinja::value::{Serde, Value};

use self::source::{Source, Sources};
use crate::response::content_type;
use crate::{App, HttpError, Request, Response, html_escape, media_type};
use http::HeaderValue;
use minijinja::{
    AutoEscape, Environment, Error, Output, State, default_auto_escape_callback, escape_formatter,
};

type Configure = Arc<dyn Fn(&mut Environment<'static>) + Send + Sync>;
type Process = Arc<dyn Fn(&Request) -> Value + Send + Sync>;

/// How deep templates, macros and loops may lie in one another, as minijinja counts: an include is
/// 10, a call of a macro about 6, a loop 1. The dearest of it, macros, take 730 bytes of stack for
/// each that is counted, and a green thread has 256 KiB. (minijinja's own limit is 500.)
const RECURSION: usize = 200;

/// Where an application's templates are, and what they can use.
///
/// See [`App::templates`].
#[derive(Clone)]
pub struct Templates {
    source: Source,
    configure: Vec<Configure>,
    processors: Vec<Process>,
}

impl Templates {
    /// All files below this directory. A template's name is its path from there, with slashes:
    /// `page.html`, `mail/welcome.txt`. What is not UTF-8, or begins with a dot, is no template.
    /// A relative path is one from the process's working directory.
    #[must_use]
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self::of(Source::Directory(directory.into()))
    }

    /// Templates that are part of the program: pairs of a name and a text.
    ///
    /// ```
    /// use greenway_app::Templates;
    ///
    /// # macro_rules! include_str { ($file:literal) => { "" } }
    /// let templates = Templates::embedded([
    ///     ("page.html", include_str!("../templates/page.html")),
    ///     ("mail/welcome.txt", include_str!("../templates/mail/welcome.txt")),
    /// ]);
    /// # drop(templates);
    /// ```
    #[must_use]
    pub fn embedded<N, T>(templates: impl IntoIterator<Item = (N, T)>) -> Self
    where
        N: Into<String>,
        T: Into<String>,
    {
        let pairs = templates.into_iter();
        let pairs = pairs.map(|(name, text)| (name.into(), text.into()));
        Self::of(Source::Embedded(Arc::new(pairs.collect())))
    }

    fn of(source: Source) -> Self {
        Self {
            source,
            configure: Vec::new(),
            processors: Vec::new(),
        }
    }

    /// Something to be done with each new [`Environment`]: add filters, tests, functions and
    /// globals, or change how undefined values are treated. It is done once, and again for each
    /// page while debugging.
    ///
    /// ```
    /// use greenway_app::Templates;
    ///
    /// let templates = Templates::new("templates").configure(|env| {
    ///     env.add_filter("shout", |text: String| text.to_uppercase());
    ///     env.add_global("site", "Greenway");
    /// });
    /// # drop(templates);
    /// ```
    #[must_use]
    pub fn configure<F>(mut self, configure: F) -> Self
    where
        F: Fn(&mut Environment<'static>) + Send + Sync + 'static,
    {
        self.configure.push(Arc::new(configure));
        self
    }

    /// Values that all templates have, whoever renders them: Flask's `context_processor`. They are
    /// made anew for each page; those that are given to [`render`](Request::render) take the place
    /// of those of the same name.
    ///
    /// ```
    /// use greenway_app::{App, Request, Templates, context, testing::Client};
    ///
    /// let pages = [("page.html", "{{ theme }} {{ title }}")];
    /// let templates = Templates::embedded(pages).context_processor(|request: &Request| {
    ///     context! { theme => request.cookie("theme").as_deref().unwrap_or("light") }
    /// });
    /// let mut app = App::new();
    /// app.templates(templates);
    /// app.get("/", |request: Request| request.render("page.html", context! { title => "Home" }));
    /// assert_eq!(Client::new(app).get("/").send().text(), "light Home");
    /// ```
    #[must_use]
    pub fn context_processor<F, V>(mut self, values: F) -> Self
    where
        F: Fn(&Request) -> V + Send + Sync + 'static,
        V: TemplateValues,
    {
        self.processors
            .push(Arc::new(move |request| values(request).into_value()));
        self
    }

    /// The values for a page, with those that all pages have.
    fn with_common(&self, request: &Request, values: Value) -> Value {
        if self.processors.is_empty() {
            return values;
        }
        // The last one that has a name gives its value.
        let common = self.processors.iter().map(|process| process(request));
        minijinja::value::merge_maps(common.chain([values]))
    }

    /// An environment with these templates, which are compiled when they are first used.
    fn environment(&self, sources: Arc<Sources>, debug: bool) -> Environment<'static> {
        let mut env = Environment::new();
        env.set_debug(debug);
        env.set_recursion_limit(RECURSION);
        env.set_auto_escape_callback(auto_escape);
        env.set_formatter(format);
        for configure in &self.configure {
            configure(&mut env);
        }
        env.set_loader(move |name| Ok(sources.get(name).cloned()));
        // What the loader gives does not change.
        env.set_auto_reload(false);
        env
    }

    /// Reads and compiles all of them.
    fn load(self) -> Result<Loaded, String> {
        let sources = Arc::new(self.source.read()?);
        let env = self.environment(Arc::clone(&sources), false);
        let problem = |name: &String| env.get_template(name).err();
        let problems = sources.keys().filter_map(problem);
        let problems: Vec<_> = problems.map(|problem| error::chain(&problem)).collect();
        if !problems.is_empty() {
            return Err(problems.join("\n"));
        }
        let compiled = Arc::new(Compiled { env, sources });
        Ok(Loaded {
            templates: self,
            compiled,
        })
    }
}

/// A directory of templates.
impl<P: Into<PathBuf>> From<P> for Templates {
    fn from(directory: P) -> Self {
        Self::new(directory)
    }
}

impl fmt::Debug for Templates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Templates").field(&self.source).finish()
    }
}

/// The values of a template: what [`context!`](context) makes, `()` for none, or whatever else is
/// `Into<Value>`, such as `Serde(value)`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` are no values for a template",
    note = "values are named by `context! {{ name => value }}`",
    note = "what can be serialized (`serde::Serialize`) is given as `Serde(value)`, here and within \
            `context!`: `use greenway::templates::Serde`"
)]
pub trait TemplateValues {
    /// The values as one.
    fn into_value(self) -> Value;
}

#[diagnostic::do_not_recommend]
impl<T: Into<Value>> TemplateValues for T {
    fn into_value(self) -> Value {
        self.into()
    }
}

/// What an application shares with its handlers.
struct Loaded {
    templates: Templates,
    compiled: Arc<Compiled>,
}

/// Templates as they were at one time.
struct Compiled {
    env: Environment<'static>,
    sources: Arc<Sources>,
}

impl Loaded {
    /// The templates for a request: while debugging, as they are now, and with what their author
    /// wants to see of a mistake.
    #[track_caller]
    fn for_request(&self, request: &Request) -> Result<Arc<Compiled>, HttpError> {
        if !request.is_debugged() {
            return Ok(Arc::clone(&self.compiled));
        }
        let source = self.templates.source.clone();
        let sources = request.unblock(move || source.read())?;
        let sources = Arc::new(sources);
        let env = self.templates.environment(Arc::clone(&sources), true);
        Ok(Arc::new(Compiled { env, sources }))
    }
}

impl Compiled {
    #[track_caller]
    fn get(&self, name: &str) -> Result<minijinja::Template<'_, '_>, HttpError> {
        if !self.sources.contains_key(name) {
            return Err(error::unknown(name, &self.sources));
        }
        Ok(self.env.get_template(name)?)
    }
}

impl App {
    /// The templates that [`Request::render`] finds: a directory, or [`Templates`] with settings.
    ///
    /// All of them are read and compiled now. While debugging ([`App::debug`], or the server's
    /// `--debug`), they are read anew for each page, so a change is seen at the next reload.
    /// A mounted application that has templates of its own renders those; one that has none renders
    /// those of the application that it is mounted in.
    ///
    /// # Panics
    ///
    /// When the directory cannot be read, or a template has a mistake: with the template's name,
    /// the line, and what is wrong there.
    pub fn templates(&mut self, templates: impl Into<Templates>) -> &mut Self {
        match templates.into().load() {
            Ok(loaded) => self.share(loaded),
            Err(problem) => panic!("App::templates: {problem}"),
        }
    }
}

impl Request {
    /// A page: the [template](App::templates) of this name, with these values. The Content-Type is
    /// that of the name's ending.
    ///
    /// Beside the values, templates have:
    ///
    /// | | |
    /// |---|---|
    /// | `url_for("name", id=7)` | the path of a route: [`url_for`](Request::url_for) |
    /// | `request` | `.method`, `.path`, `.script_name`, `.scheme`, `.host`, `.query_string`; `.query.name` and `.params.name`; `.route`, the route's name; `.form.title` and `.form.get_all("tag")`, what was sent if the handler has read it |
    /// | `session` | `session.key` or `session.get("key")`, and `session.user()` |
    /// | `take_flashes()` | the messages for the visitor, each with `.category` and `.text` |
    /// | `csrf_field()`, `csrf_token()` | the hidden field of a form, or the token alone |
    ///
    /// A value of the same name takes their place. The last three rows are for applications with
    /// [sessions](crate::sessions). Values that serde can write are given as `Serde(value)`.
    ///
    /// ```
    /// use greenway_app::templates::{Serde, context};
    /// use greenway_app::{HttpError, Request, Response};
    ///
    /// #[derive(serde::Serialize)]
    /// struct Note { title: String, text: String }
    ///
    /// fn notes(request: Request) -> Result<Response, HttpError> {
    ///     let notes = vec![Note { title: "a".into(), text: "b".into() }];
    ///     request.render("notes.html", context! { notes => Serde(notes) })
    /// }
    /// # let _ = notes;
    /// ```
    ///
    /// # Errors
    ///
    /// 500 if there is no such template or it fails. The log has the template and the line.
    ///
    /// # Panics
    ///
    /// When the application has no templates.
    #[track_caller]
    pub fn render(&self, name: &str, values: impl TemplateValues) -> Result<Response, HttpError> {
        let text = self.render_to_string(name, values)?;
        Ok(Response::typed(text, content_type_of(name)))
    }

    /// The text that [`render`](Request::render) makes a response of: for a mail, or a part of
    /// another page.
    ///
    /// # Errors
    ///
    /// As [`render`](Request::render).
    ///
    /// # Panics
    ///
    /// As [`render`](Request::render).
    #[track_caller]
    pub fn render_to_string(
        &self,
        name: &str,
        values: impl TemplateValues,
    ) -> Result<String, HttpError> {
        let loaded = loaded(self);
        let compiled = loaded.for_request(self)?;
        let template = compiled.get(name)?;
        let values = loaded.templates.with_common(self, values.into_value());
        let values = functions::with_ours(self, values);
        Ok(template.render(values)?)
    }
}

#[track_caller]
fn loaded(request: &Request) -> &Loaded {
    let Some(loaded) = request.try_state() else {
        panic!("the application has no templates: name them with `app.templates(\"templates\")`");
    };
    loaded
}

/// The name without an ending that says that it is a template.
fn bare(name: &str) -> &str {
    let endings = [".j2", ".jinja2", ".jinja"];
    let mut stripped = endings.iter().filter_map(|end| name.strip_suffix(end));
    stripped.next().unwrap_or(name)
}

/// As minijinja does it, and for all that is XML.
fn auto_escape(name: &str) -> AutoEscape {
    let guessed = media_type::guess(bare(name)).unwrap_or_default();
    match default_auto_escape_callback(name) {
        AutoEscape::None if guessed.ends_with("xml") => AutoEscape::Html,
        other => other,
    }
}

/// As minijinja writes values, but for the slash, which means nothing in HTML: URLs stay readable;
/// and for `None`, which is what Rust's getters give where there is nothing to write.
fn format(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    match value.as_str() {
        Some(text) if matches!(state.auto_escape(), AutoEscape::Html) && !value.is_safe() => {
            Ok(out.write_str(&html_escape(text))?)
        }
        _ if value.is_none() => Ok(()),
        _ => escape_formatter(out, state, value),
    }
}

fn content_type_of(name: &str) -> HeaderValue {
    match media_type::guess(bare(name)) {
        Some("text/html") => content_type::HTML,
        Some(guessed) if guessed.starts_with("text/") => {
            let typed = HeaderValue::try_from(format!("{guessed}; charset=utf-8"));
            typed.unwrap_or(content_type::TEXT)
        }
        Some(guessed) => HeaderValue::from_static(guessed),
        None => content_type::TEXT,
    }
}
