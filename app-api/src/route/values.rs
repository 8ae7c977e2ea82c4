//! Values by their type.

use std::any::{Any, TypeId};
use std::sync::Arc;

use rustc_hash::FxHashMap;

/// At most one value of each type. Copies share their values.
#[derive(Clone, Default)]
pub(crate) struct Values(FxHashMap<TypeId, Arc<dyn Any + Send + Sync>>);

impl Values {
    /// Puts a value in, and says whether there was one of its type.
    pub(crate) fn insert<T: Any + Send + Sync>(&mut self, value: T) -> bool {
        self.0.insert(TypeId::of::<T>(), Arc::new(value)).is_some()
    }

    pub(crate) fn get<T: Any + Send + Sync>(&self) -> Option<&T> {
        self.0.get(&TypeId::of::<T>())?.downcast_ref()
    }

    /// Takes over what `others` have of types that are not here.
    pub(crate) fn add_missing(&mut self, others: &Values) {
        for (kind, value) in &others.0 {
            self.0.entry(*kind).or_insert_with(|| Arc::clone(value));
        }
    }
}
