//! Who is who: roles, SCRAM verifiers, suspensions.
