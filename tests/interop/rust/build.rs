//! Generates the stubs of `proto/`, with a protoc that comes as a crate.

use std::env;
use std::error::Error;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-env-changed=PROTO_DIR");
    let proto = PathBuf::from(env::var("PROTO_DIR").unwrap_or_else(|_| "../../../proto".into()));
    println!("cargo:rerun-if-changed={}", proto.display());
    env::set_var("PROTOC", protoc_bin_vendored::protoc_bin_path()?);
    // qdrant.proto imports the others.
    tonic_prost_build::configure()
        .build_server(false)
        .compile_protos(&[proto.join("qdrant.proto")], &[proto])?;
    Ok(())
}
