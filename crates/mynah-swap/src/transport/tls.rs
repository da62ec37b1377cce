//! TLS, where certificates are given: rustls with ring, versions 1.2 and 1.3.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use crate::{Error, Result};

const PEM_BYTES_MAX: u64 = 1 << 20;

/// What a listener shows.
#[derive(Clone)]
pub struct TlsServer(pub(super) Arc<ServerConfig>);

/// Whom a connection trusts.
#[derive(Clone)]
pub struct TlsClient {
    pub(super) config: Arc<ClientConfig>,
    pub(super) name: Option<ServerName<'static>>,
}

impl TlsServer {
    /// A certificate chain and its key, from PEM files.
    ///
    /// # Errors
    /// `Io` when a file cannot be read, `Signature` when they are no certificate and its key.
    pub fn from_files(certificates: &Path, key: &Path) -> Result<Self> {
        let chain = read_certificates(certificates)?;
        let key_der = PrivateKeyDer::from_pem_slice(&read_pem(key)?)
            .map_err(|e| Error::signature(format!("no private key in PEM: {e}")).in_file(key))?;
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key_der));
        let config =
            config.map_err(|e| Error::signature(format!("cannot be used: {e}")).in_file(certificates))?;
        Ok(Self(Arc::new(config)))
    }
}

impl TlsClient {
    /// Trusts the authorities in a PEM file. `name` is the name that the server's certificate must have; without it,
    /// the host of the address.
    ///
    /// # Errors
    /// `Io` when the file cannot be read, `Signature` when it has no certificates, `Argument` when the name is none.
    pub fn from_file(authorities: &Path, name: Option<&str>) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        for certificate in read_certificates(authorities)? {
            roots
                .add(certificate)
                .map_err(|e| Error::signature(format!("no authority: {e}")).in_file(authorities))?;
        }
        let config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|e| Error::signature(format!("TLS cannot be used: {e}")))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = name.map(server_name).transpose()?;
        Ok(Self { config: Arc::new(config), name })
    }
}

pub(super) fn server_name(name: &str) -> Result<ServerName<'static>> {
    ServerName::try_from(name.to_string())
        .map_err(|_| Error::argument(format!("{name:?} is no name of a server")))
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn read_pem(path: &Path) -> Result<Vec<u8>> {
    let file = std::fs::File::open(path).map_err(|e| Error::io("open it", path, &e))?;
    let mut bytes = Vec::new();
    file.take(PEM_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|e| Error::io("read it", path, &e))?;
    if bytes.len() as u64 > PEM_BYTES_MAX {
        return Err(Error::signature("larger than a mebibyte; no certificates are").in_file(path));
    }
    Ok(bytes)
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let bytes = read_pem(path)?;
    let found: std::result::Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match found {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err(Error::signature("holds no certificates in PEM").in_file(path)),
        Err(e) => Err(Error::signature(format!("no certificates in PEM: {e}")).in_file(path)),
    }
}
