//! Where events leave the machine. Each sink has a thread of its own and reads the bus at its own pace: it waits for no frame and for no
//! other sink, and what it is too slow for it learns as a number.

pub mod mqtt;
