//! TEMPORARY
use crate::config::Config;
use crate::store::{Store, StoreError, seal::MasterKey};
pub struct Opened {
    pub store: Store,
    pub warnings: Vec<String>,
}
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{0}")]
    Key(String),
}
pub async fn open(config: &Config) -> Result<Opened, OpenError> {
    let keys = config
        .encryption
        .keys
        .iter()
        .map(|k| MasterKey::parse(k).map_err(|e| OpenError::Key(e.to_string())))
        .collect::<Result<Vec<_>, _>>()?;
    std::fs::create_dir_all(&config.data.dir).map_err(|e| OpenError::Key(e.to_string()))?;
    Ok(Opened { store: Store::sealed_file(config.data.dir.join("directory.sealed"), keys).await?, warnings: vec![] })
}
