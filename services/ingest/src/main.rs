//! `fanlight-ingest`.

fn main() {}
