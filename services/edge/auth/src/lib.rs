//! Who may watch what: passwords and signed sessions, JSON Web Tokens, identities told by a
//! trusted proxy, and share links. Knows no sockets and no routes; the edge asks [`Gate`] about
//! each request and gets a [`Grant`] or a reason why not.

mod cameras;
mod clock;
mod files;
mod gate;
mod grant;
mod jwks;
mod jwt;
mod keys;
mod limiter;
mod passwords;
mod proxy;
mod request;
mod session;
mod settings;
mod share;
mod signed;
mod users;

pub use cameras::Cameras;
pub use gate::{Gate, ShareError, Shared, SignInError, SignedIn};
pub use grant::{Denied, Grant, How};
pub use limiter::{Attempts, Limit};
pub use passwords::{BadPassword, hash_password};
pub use request::{Asked, SESSION_COOKIE};
pub use settings::{JwtSettings, PasswordSettings, ProxySettings, Settings, Verify};
pub use share::{MAX_SHARE, make_link};
pub use users::{check as check_users, is_name, user_line};
