//! `keys`: the API keys of OTLP clients. They live in the data directory; a running server notices changes by itself.

use clap::Subcommand;
use collector::keys::{KeyRecord, KeyStore, NewKey};

use super::{Context, Outcome};
use crate::data_dir::DataDir;
use crate::output::{Cell, Rows};

/// What to do with keys.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Create a key and show it, this once: only its hash is kept
    Create {
        /// What people call it, such as the service that sends with it
        name: String,
        /// The account it belongs to: reports merge only within one [default: the default realm]
        #[arg(long, value_name = "REALM", default_value = "", hide_default_value = true)]
        realm: String,
        /// Bind it: every call sent with it is this tenant's, whatever the spans say
        #[arg(long, value_name = "TENANT", conflicts_with = "operator")]
        tenant: Option<String>,
        /// An operator's (a gateway's): its reports may lend usage to a call, never a tenant
        #[arg(long)]
        operator: bool,
    },
    /// List every key, revoked ones too
    List,
    /// Revoke a key; a running server refuses it within a second
    Revoke {
        /// The key's id or name
        key: String,
    },
}

/// Does it.
pub fn run(command: Command, context: &Context) -> anyhow::Result<Outcome> {
    let data_dir = DataDir::new(&context.loaded.config.data_dir);
    let mut rows = Rows::new(COLUMNS);
    match command {
        Command::Create { name, realm, tenant, operator } => {
            data_dir.create()?;
            let created =
                KeyStore::open(data_dir.path())?.create(NewKey { name, realm, tenant, operator })?;
            rows = Rows::new(COLUMNS.into_iter().chain(["key"]));
            rows.push(cells(created.record).into_iter().chain([created.secret.reveal().into()]));
        }
        Command::List => {
            let listed = KeyStore::open(data_dir.path())?.list()?;
            listed.into_iter().for_each(|record| rows.push(cells(record)));
        }
        Command::Revoke { key } => {
            data_dir.create()?;
            rows.push(cells(KeyStore::open(data_dir.path())?.revoke(&key)?));
        }
    }
    rows.print(context.format)?;
    Ok(Outcome::Done)
}

const COLUMNS: [&str; 7] = ["id", "name", "realm", "tenant", "operator", "created_at", "revoked_at"];

/// What is shown of a key; its hash is nobody's business.
fn cells(record: KeyRecord) -> [Cell; COLUMNS.len()] {
    [
        record.id.into(),
        record.name.into(),
        record.realm.into(),
        Cell::text(record.tenant),
        Cell::Flag(record.operator),
        Cell::Time(record.created_at),
        Cell::time(record.revoked_at),
    ]
}
