//! What the tests of patched programs share.
