//! Pages that are rendered while they are sent.
//!
//! The renderer writes into the response, and so may wait for a slow client in the midst of it. It
//! was looked through for that (minijinja 3.1): while it writes, it holds no lock and no borrow of a
//! thread-local that another page needs.

use std::io;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use minijinja::Value;

use super::{Compiled, TemplateValues, content_type_of, functions, loaded};
use crate::{Body, BodyError, HttpError, Out, Request, Response};

/// Bytes that are collected before they are sent, as templates write a few at a time.
const PIECE: usize = 8 << 10;

/// What waits for so long goes with what comes next, however little it is.
const LATEST: Duration = Duration::from_millis(20);

impl Request {
    /// As [`render`](Request::render), for long pages: the page is rendered while it is sent, in
    /// pieces of 8 KiB. It takes no more memory than that, however long it is, and a client that
    /// reads slowly slows the rendering down.
    ///
    /// Rows may be given as an iterator, which is asked for the next one when its turn comes and
    /// may wait for it. `{{ flush() }}` sends what there is so far: at the end of a page's head,
    /// or before rows that take their time.
    ///
    /// ```
    /// use greenway_app::templates::{Value, context};
    /// use greenway_app::{App, Request, Templates, testing::Client};
    ///
    /// let mut app = App::new();
    /// app.templates(Templates::embedded([(
    ///     "rows.txt",
    ///     "first{{ flush() }}{% for row in rows %}{{ row }}.{% endfor %}",
    /// )]));
    /// app.get("/", |request: Request| {
    ///     let rows = Value::make_iterable(|| (1..=3).map(|n| n * n)); // or of a database
    ///     request.render_stream("rows.txt", context! { rows })
    /// });
    /// assert_eq!(Client::new(app).get("/").send().chunks(), ["first\n", "1.4.9."]);
    /// ```
    ///
    /// A mistake within the first piece is a 500 as any other; later ones cut the connection, so
    /// that the client sees that something is missing. Messages for the visitor are taken, and
    /// tokens for forms are made, before the handler returns, as sessions are saved then: by the
    /// names that stand in the template and in those that it names.
    ///
    /// What a template collects (`{% set %}`, `{% filter %}`, `{% call %}`, and what a macro gives)
    /// is in memory.
    ///
    /// # Errors
    ///
    /// 500 if there is no such template.
    ///
    /// # Panics
    ///
    /// When the application has no templates.
    #[track_caller]
    pub fn render_stream(
        &self,
        name: &str,
        values: impl TemplateValues,
    ) -> Result<Response, HttpError> {
        let loaded = loaded(self);
        let compiled = loaded.for_request(self)?;
        compiled.get(name)?;
        let flush = Flush::default();
        let values = loaded.templates.with_common(self, values.into_value());
        let values = functions::for_stream(self, &compiled.sources, name, &flush, values)?;
        let content_type = content_type_of(name);
        let name = name.to_owned();
        let body = Body::stream(move |out| compiled.render_into(&name, values, &flush, out));
        Ok(Response::typed(body, content_type))
    }
}

impl Compiled {
    fn render_into(
        &self,
        name: &str,
        values: Value,
        flush: &Flush,
        out: &mut Out<'_>,
    ) -> Result<(), BodyError> {
        let mut pieces = Pieces {
            out,
            flush,
            collected: Vec::new(),
            since: Instant::now(),
            failed: None,
        };
        let template = self.get(name)?;
        let result = template.render_captured_to(values, &mut pieces);
        if let Some(failed) = pieces.failed.take() {
            return Err(failed);
        }
        result?;
        pieces.send()
    }
}

/// Whether a template has asked for what it has written to be sent.
#[derive(Debug, Clone, Default)]
pub(super) struct Flush(Arc<AtomicBool>);

impl Flush {
    /// What `flush()` gives: a line end, which is written at once. That is when the writer looks.
    pub(super) fn ask(&self) -> Value {
        self.0.store(true, Ordering::Relaxed);
        Value::from_safe_string("\n".to_owned())
    }

    fn is_asked_for(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}

/// Collects what a template writes, and sends it piece by piece.
struct Pieces<'o, 'a> {
    out: &'o mut Out<'a>,
    flush: &'o Flush,
    collected: Vec<u8>,
    /// When the last piece was sent.
    since: Instant,
    /// Why no more can be sent.
    failed: Option<BodyError>,
}

impl Pieces<'_, '_> {
    fn send(&mut self) -> Result<(), BodyError> {
        if !self.collected.is_empty() {
            let piece = mem::take(&mut self.collected);
            self.out.send(piece)?;
        }
        self.since = Instant::now();
        Ok(())
    }
}

impl io::Write for Pieces<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.collected.capacity() == 0 {
            self.collected.reserve_exact(PIECE);
        }
        let taken = bytes.len().min(PIECE - self.collected.len());
        self.collected.extend_from_slice(&bytes[..taken]);
        let asked = self.flush.is_asked_for();
        if (asked || self.collected.len() == PIECE || self.since.elapsed() > LATEST)
            && let Err(error) = self.send()
        {
            self.failed = Some(error);
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
