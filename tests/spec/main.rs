//! Every promise, one module each, in one program.

mod sealed_file;
