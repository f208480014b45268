fn main() {
    keyway::cli::run()
}
