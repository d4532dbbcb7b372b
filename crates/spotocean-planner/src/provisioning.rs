//! (module provisioning)
