//! Traefik.
