//! What the board looks like. All text of other people's goes through [`escaped`].

use crate::store::Notice;
use greenway::sessions::Session;
use greenway::{Html, HttpError};
use std::fmt::Write as _;

pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

pub(crate) fn page(title: &str, content: &str) -> Html<String> {
    let title = escaped(title);
    Html(format!(
        "<!doctype html>\n<html lang=en>\n<meta charset=utf-8>\n\
         <meta name=viewport content='width=device-width'>\n<title>{title}</title>\n\
         <link rel=stylesheet href=/board.css>\n<link rel=icon href=data:,>\n\
         <header><a href=/><h1>Notice board</h1></a></header>\n<main>\n{content}</main>\n"
    ))
}

pub(crate) fn notice(notice: &Notice) -> String {
    let picture = match &notice.picture {
        Some(name) => format!(
            "<img src='/pictures/{}' alt='' loading=lazy>",
            escaped(name)
        ),
        None => String::new(),
    };
    format!(
        "<article id=n{0}>{picture}<h2><a href=/notices/{0}>{1}</a></h2><p>{2}</p>\
         <footer>{3} · <time>{4}</time></footer></article>",
        notice.id,
        escaped(&notice.title),
        escaped(&notice.text).replace('\n', "<br>"),
        escaped(&notice.author),
        escaped(&notice.posted),
    )
}

pub(crate) fn board(session: &Session, words: &str, notices: &[Notice]) -> Html<String> {
    let mut out = String::new();
    for flash in session.take_flashes() {
        // Writing to a String cannot fail.
        let (category, text) = (escaped(&flash.category), escaped(&flash.text));
        let _ = writeln!(out, "<p class='flash {category}' role=status>{text}</p>");
    }
    let words = escaped(words);
    let _ = writeln!(
        out,
        "<form class=search><input type=search name=q value=\"{words}\" \
         placeholder=Search aria-label=Search> <a href=/notices.csv>CSV</a></form>"
    );
    let token = session.csrf_token();
    let token = format!("<input type=hidden name=csrf_token value=\"{token}\">");
    match session.user::<String>() {
        Some(user) => {
            let user = escaped(&user);
            let _ = writeln!(
                out,
                "<form class=card method=post action=/notices enctype=multipart/form-data>{token}\
                 <input name=title required maxlength=80 placeholder=Title aria-label=Title>\
                 <textarea name=text rows=3 maxlength=2000 placeholder=Text aria-label=Text>\
                 </textarea><input type=file name=picture accept='image/*' aria-label=Picture>\
                 <button>Pin it up, {user}</button></form>\
                 <form class=quiet method=post action=/logout>{token}<button>Log out</button></form>"
            );
        }
        None => {
            let _ = writeln!(
                out,
                "<form class=card method=post action=/login>{token}\
                 <input name=name required maxlength=40 placeholder=Name aria-label=Name \
                 autocomplete=username><input type=password name=password required \
                 placeholder='The board&#39;s password' aria-label=Password \
                 autocomplete=current-password><button>Log in</button></form>"
            );
        }
    }
    let live = if words.is_empty() { " data-live" } else { "" };
    let _ = writeln!(out, "<section class=board{live}>");
    for one in notices {
        let _ = writeln!(out, "{}", notice(one));
    }
    out += "</section>\n<script src=/board.js></script>\n";
    page("Notice board", &out)
}

pub(crate) fn error(error: &HttpError) -> Html<String> {
    let status = error.status();
    let reason = status.canonical_reason().unwrap_or("Something is wrong");
    let (code, text) = (status.as_u16(), escaped(error.message()));
    let content = format!(
        "<article class=error><h2>{code} {reason}</h2><p>{text}</p>\
                           <p><a href=/>Back to the board</a></p></article>\n"
    );
    page(reason, &content)
}

/// A field of a CSV file (RFC 4180). A table program would take what begins so for a formula.
pub(crate) fn csv(field: &str) -> String {
    let formula = field.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let quote = if formula { "'" } else { "" };
    format!("\"{quote}{}\"", field.replace('"', "\"\""))
}
