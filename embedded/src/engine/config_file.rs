//! The engine's configuration file.
//!
//! Limits of the whole engine only work from a file: given as connection arguments they are ignored in silence.

use std::fmt::Write;

use super::EngineConfig;

/// The text of the configuration file, in the engine's XML.
pub(super) fn render(config: &EngineConfig) -> String {
    let threads = config.background_threads.max(1);
    let backups = config.backups_dir();
    let backups = escape(&backups.to_string_lossy());
    let mut xml = String::from("<clickhouse>\n");
    let mut line = |name: &str, value: &dyn std::fmt::Display| {
        // Writing to a string cannot fail.
        let _ = writeln!(xml, "  <{name}>{value}</{name}>");
    };
    line("max_server_memory_usage", &config.memory_bytes_max);
    line("mark_cache_size", &config.cache_bytes_max);
    line("index_mark_cache_size", &(config.cache_bytes_max / 4));
    line("uncompressed_cache_size", &0);
    line("index_uncompressed_cache_size", &0);
    line("background_pool_size", &threads);
    line("background_schedule_pool_size", &(threads * 4));
    line("background_common_pool_size", &threads);
    line("background_fetches_pool_size", &1);
    line("background_move_pool_size", &1);
    line("background_buffer_flush_schedule_pool_size", &1);
    line("background_message_broker_schedule_pool_size", &1);
    line("background_distributed_schedule_pool_size", &1);
    // Each of these must not exceed the number of merge slots (twice the pool), or no table opens.
    line(
        "merge_tree",
        &format!(
            "<number_of_free_entries_in_pool_to_execute_mutation>{threads}\
             </number_of_free_entries_in_pool_to_execute_mutation>\
             <number_of_free_entries_in_pool_to_lower_max_size_of_merge>{threads}\
             </number_of_free_entries_in_pool_to_lower_max_size_of_merge>\
             <number_of_free_entries_in_pool_to_execute_optimize_entire_partition>{threads}\
             </number_of_free_entries_in_pool_to_execute_optimize_entire_partition>"
        ),
    );
    line("backups", &format!("<allowed_path>{backups}</allowed_path>"));
    xml.push_str("</clickhouse>\n");
    xml
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_stand_in_the_file_and_paths_are_escaped() {
        let mut config = EngineConfig::new("/data/<a&b>");
        config.memory_bytes_max = 123_456_789;
        let xml = render(&config);
        assert!(xml.contains("<max_server_memory_usage>123456789</max_server_memory_usage>"), "{xml}");
        assert!(xml.contains("<allowed_path>/data/&lt;a&amp;b&gt;/backups</allowed_path>"), "{xml}");
    }
}
