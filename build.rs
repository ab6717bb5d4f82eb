//! Passes the commit id and the release date to the plugin definition.

fn main() {
    gst_plugin_version_helper::info()
}
