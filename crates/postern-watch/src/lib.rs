//! Detectors: disclosures and feeds in, findings out.
