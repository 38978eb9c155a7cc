pub mod finding;
pub mod mapping;
pub mod routes;
