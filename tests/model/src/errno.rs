//! There is no `errno` here.

pub fn kept<R>(body: impl FnOnce() -> R) -> R {
    body()
}
