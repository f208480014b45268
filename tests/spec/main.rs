//! What Keyway promises, one module per promise, in one program so that the suite links once.

mod documents;
