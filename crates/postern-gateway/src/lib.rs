//! Sockets, upstream connections and the hold buffer; drives sessions.
