//! Forms and uploads, with the extractors that axum has for them.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::multipart::{Field, MultipartError};
use axum::extract::{DefaultBodyLimit, Multipart};
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Form, Router};
use futures_util::TryStreamExt;
use peer_common::Profile;
use tokio::fs::File;
use tokio::io::BufWriter;
use tokio_util::io::StreamReader;

type Answer = Result<String, (StatusCode, String)>;

fn refused(error: MultipartError) -> (StatusCode, String) {
    (error.status(), error.body_text())
}

fn failed(error: io::Error) -> (StatusCode, String) {
    (StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
}

/// The whole form in memory.
async fn upload(mut form: Multipart) -> Answer {
    let mut lengths = Vec::new();
    while let Some(field) = form.next_field().await.map_err(refused)? {
        let length = if field.file_name().is_some() {
            field.bytes().await.map_err(refused)?.len()
        } else {
            field.text().await.map_err(refused)?.len()
        };
        lengths.push(length.to_string());
    }
    Ok(lengths.join(" "))
}

async fn count(mut form: Multipart) -> Answer {
    let mut length = 0;
    while let Some(mut field) = form.next_field().await.map_err(refused)? {
        if field.file_name().is_some() {
            while let Some(chunk) = field.chunk().await.map_err(refused)? {
                length += chunk.len();
            }
        }
    }
    Ok(length.to_string())
}

async fn disk(mut form: Multipart) -> Answer {
    let mut length = 0;
    while let Some(field) = form.next_field().await.map_err(refused)? {
        if field.file_name().is_some() {
            length += save(field).await.map_err(failed)?;
        }
    }
    Ok(length.to_string())
}

/// As axum's example `stream-to-file` has it.
async fn save(field: Field<'_>) -> io::Result<u64> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let path = peer_common::files().join(format!("axum-upload-{number}"));
    let mut reader = StreamReader::new(field.map_err(io::Error::other));
    let mut file = BufWriter::new(File::create(&path).await?);
    let length = tokio::io::copy(&mut reader, &mut file).await?;
    tokio::fs::remove_file(path).await?;
    Ok(length)
}

pub(crate) fn routes() -> Router {
    // A number of bytes that no machine has where this is built for 32 bits.
    let most = usize::try_from(peer_common::MAX_UPLOAD).unwrap_or(usize::MAX);
    Router::new()
        .route("/upload/count", post(count))
        .route("/upload/disk", post(disk))
        .layer(DefaultBodyLimit::max(most))
        .route("/upload", post(upload))
        .route(
            "/form",
            post(async |Form(profile): Form<Profile>| profile.summary()),
        )
}
