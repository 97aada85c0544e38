//! TLS: certificates from files, and a development authority for trying things out.

use crate::config::TlsFiles;
use crate::keys::seal::write_private;
use crate::types::clock::Clock;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The development authority's certificate: clients are told to trust this file.
pub const DEV_CA: &str = "dev-ca.pem";
const DEV_CA_KEY: &str = "dev-ca-key.pem";

/// The most days that browsers accept of a server's certificate.
const LEAF_DAYS: i64 = 397;
const CA_DAYS: i64 = 3650;

/// Reads certificate and key into what the listener needs.
///
/// # Errors
/// A file cannot be read, or key and certificate do not belong together; the text says which.
pub fn server_config(files: &TlsFiles) -> Result<Arc<ServerConfig>, String> {
    let failed = |path: &Path, error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let chain = CertificateDer::pem_file_iter(&files.cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| failed(&files.cert, &error))?;
    if chain.is_empty() {
        return Err(failed(&files.cert, &"there is no certificate in the file"));
    }
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| failed(&files.key, &error))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(|error| failed(&files.cert, &error))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// A certificate for `names` from the development authority in `folder`, which is made when it is not there. The
/// authority stays the same, so that clients trust it once; the certificate is made anew at every start.
///
/// # Errors
/// A file cannot be read or written; the text says which.
pub fn development(folder: &Path, names: &[String], clock: &Clock) -> Result<TlsFiles, String> {
    let path = |name: &str| folder.join(name);
    std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let (ca_cert, ca_key) = authority(&path(DEV_CA), &path(DEV_CA_KEY), clock)?;
    let issuer =
        Issuer::from_ca_cert_pem(&ca_cert, ca_key).map_err(|error| format!("{}: {error}", path(DEV_CA).display()))?;

    let made = |error: rcgen::Error| format!("a development certificate cannot be made: {error}");
    let mut params = CertificateParams::new(names.to_vec()).map_err(made)?;
    params.distinguished_name.push(DnType::CommonName, "Grantor development server");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    (params.not_before, params.not_after) = validity(clock, LEAF_DAYS);
    let key = KeyPair::generate().map_err(made)?;
    let cert = params.signed_by(&key, &issuer).map_err(made)?;
    let files = TlsFiles { cert: path("dev-cert.pem"), key: path("dev-key.pem") };
    replace(&files.cert, &cert.pem())?;
    replace(&files.key, &key.serialize_pem())?;
    Ok(files)
}

fn authority(cert: &PathBuf, key: &PathBuf, clock: &Clock) -> Result<(String, KeyPair), String> {
    if cert.exists() && key.exists() {
        let read =
            |path: &PathBuf| std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()));
        let pair = KeyPair::from_pem(&read(key)?).map_err(|error| format!("{}: {error}", key.display()))?;
        return Ok((read(cert)?, pair));
    }
    let made = |error: rcgen::Error| format!("a development authority cannot be made: {error}");
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "Grantor development CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    (params.not_before, params.not_after) = validity(clock, CA_DAYS);
    let pair = KeyPair::generate().map_err(made)?;
    let pem = params.self_signed(&pair).map_err(made)?.pem();
    replace(key, &pair.serialize_pem())?;
    replace(cert, &pem)?;
    Ok((pem, pair))
}

fn validity(clock: &Clock, days: i64) -> (time::OffsetDateTime, time::OffsetDateTime) {
    let at = |seconds| time::OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(time::OffsetDateTime::UNIX_EPOCH);
    // An hour back, for clients whose clock is behind.
    (at(clock.now() - 3600), at(clock.now() + days * 86_400))
}

fn replace(path: &Path, text: &str) -> Result<(), String> {
    let _ = std::fs::remove_file(path);
    write_private(path, text.as_bytes()).map_err(|error| format!("{}: {error}", path.display()))
}
