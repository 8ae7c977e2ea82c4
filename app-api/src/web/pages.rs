//! The pages for errors, and which of them is for what.

use std::sync::Arc;

use crate::error_page::debug_page;
use crate::{HttpError, Request, Response};

pub(super) type Page = Arc<dyn Fn(&Request, &HttpError) -> Option<Response> + Send + Sync>;

/// What an application sends for errors.
#[derive(Clone, Default)]
pub(super) struct ErrorPages {
    /// Those for types of errors, in the order of their definition.
    pub(super) of_types: Vec<Page>,
    pub(super) of_statuses: Vec<(u16, Page)>,
    pub(super) of_all: Option<Page>,
}

impl ErrorPages {
    pub(super) fn answer(
        &self,
        request: &Request,
        error: &HttpError,
        debug: bool,
    ) -> Option<Response> {
        let of_type = self.of_types.iter().find_map(|page| page(request, error));
        if of_type.is_some() {
            return of_type;
        }
        let status = error.status().as_u16();
        let mut of_statuses = self.of_statuses.iter();
        let of_status = of_statuses.find(|(own, _)| *own == status);
        if let Some(page) = of_status.map(|(_, page)| page).or(self.of_all.as_ref()) {
            return page(request, error);
        }
        let fault = error.status().is_server_error();
        let debug = debug || request.is_debug();
        (debug && fault).then(|| debug_page(request, error))
    }

    /// Takes over what `others` have that is not here.
    pub(super) fn add_missing(&mut self, others: ErrorPages) {
        self.of_types.extend(others.of_types);
        for (status, page) in others.of_statuses {
            if self.of_statuses.iter().all(|(own, _)| *own != status) {
                self.of_statuses.push((status, page));
            }
        }
        self.of_all = self.of_all.take().or(others.of_all);
    }
}
