//! Developer commands: demo, test, codegen, bench, tidy.
