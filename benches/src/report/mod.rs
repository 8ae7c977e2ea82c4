//! Showing results: tables for the terminal, and a folder with `report.html`, the plots
//! as SVG files and the raw JSON.

mod html;
mod svg;
mod table;

use std::fs;
use std::io;
use std::path::Path;

use crate::compare::Change;
use crate::results::Results;

pub use table::text;

/// Writes the report folder; what an earlier run left there under the same names is
/// replaced.
///
/// # Errors
/// When the folder cannot be written.
pub fn write(folder: &Path, results: &Results, changes: &[Change]) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let json = serde_json::to_string_pretty(&results.json()).map_err(io::Error::other)?;
    fs::write(folder.join("report.json"), json + "\n")?;
    let plots = svg::plots(results);
    for plot in &plots {
        fs::write(folder.join(format!("{}.svg", plot.name)), plot.standalone())?;
    }
    fs::write(
        folder.join("report.html"),
        html::page(results, &plots, changes),
    )
}

#[cfg(test)]
mod tests;
