fn main() {
    print!("{}", namecam::config::keys::sample())
}
