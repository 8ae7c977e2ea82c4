//! Running one test on several engines.

/// Makes a test of each function, one for each of the engines that share the connection loop:
/// `on_green_and_threads!(a, b)` gives `a::green`, `a::threads`, `b::green` and `b::threads`. The
/// functions take the [`Engine`](greenway::Engine); the engine is part of a failure's name.
#[macro_export]
macro_rules! on_green_and_threads {
    ($($test:ident),+ $(,)?) => {$(
        mod $test {
            #[test]
            fn green() {
                super::$test($crate::Engine::Green);
            }

            #[test]
            fn threads() {
                super::$test($crate::Engine::Threads);
            }
        }
    )+};
}
