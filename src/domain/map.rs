//! The maps that calls look into. Their keys come from the directory, never from clients, so a quick keyed hash will do.

use std::collections::HashMap;

use foldhash::fast::RandomState;

pub type Map<K, V> = HashMap<K, V, RandomState>;
