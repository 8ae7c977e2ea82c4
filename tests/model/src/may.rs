//! What the sources find in place of `may`: a coroutine is a thread of the checker that has its
//! worker to itself while it runs.

pub mod coroutine {
    use crate::green::worker;
    use crate::shim::sync::{lock, wait};
    use shuttle::sync::{Condvar, Mutex};
    use std::cell::RefCell;
    use std::sync::Arc;

    #[derive(Debug, Clone, Default)]
    pub struct Coroutine(Arc<Token>);

    #[derive(Debug, Default)]
    struct Token {
        unparked: Mutex<bool>,
        changed: Condvar,
    }

    shuttle::thread_local! {
        static CURRENT: RefCell<Option<Coroutine>> = RefCell::new(None);
    }

    impl Coroutine {
        pub fn unpark(&self) {
            *lock(&self.0.unparked) = true;
            self.0.changed.notify_all();
        }
    }

    pub fn is_coroutine() -> bool {
        CURRENT.with(|current| current.borrow().is_some())
    }

    pub fn current() -> Coroutine {
        CURRENT
            .with(|current| current.borrow().clone())
            .expect("in a coroutine")
    }

    pub fn park() {
        let home = worker::current().expect("in a coroutine");
        let token = current().0;
        home.baton().give();
        let mut unparked = lock(&token.unparked);
        while !*unparked {
            unparked = wait(&token.changed, unparked);
        }
        *unparked = false;
        drop(unparked);
        home.baton().take();
    }

    /// The calling thread is a coroutine from now on.
    pub fn begin() {
        CURRENT.with(|current| *current.borrow_mut() = Some(Coroutine::default()));
    }
}

pub mod io {
    //! There are no green sockets here.
    #[derive(Debug)]
    pub struct WaitIoWaker;

    impl WaitIoWaker {
        pub fn wakeup(&self) {}
    }

    pub trait WaitIo {
        fn wait_io(&self) -> usize;
        fn waker(&self) -> WaitIoWaker;
    }
}
