#include "node/config/advanced.h"

#include <fmt/core.h>

#include <algorithm>

#include "node/config/erlang_terms.h"
#include "node/config/option_table.h"
#include "node/config/values.h"

namespace warren::config {

namespace {

/// Settings of `rabbit` that are about the other product's inside.
constexpr const char* kInternal[] = {
    "channel_tick_interval",
    "delegate_count",
    "trace_vhosts",
    "server_properties",
    "hipe_compile",
    "backing_queue_module",
    "msg_store_index_module",
    "msg_store_credit_disc_bound",
    "msg_store_io_batch_size",
    "queue_index_max_journal_entries",
    "credit_flow_default_credit",
    "queue_explicit_gc_run_operation_threshold",
    "fhc_read_buffering",
    "fhc_write_buffering",

    "quorum_commands_soft_limit",
    "quorum_tick_interval",
    "lager_log_root",
    "lager_default_file",
    "lager_upgrade_file",
    "plugins_dir",
    "enabled_plugins_file",
    "plugins_expand_dir",
    "background_gc_enabled",
    "halt_on_upgrade_failure",
    "peer_discovery_backend",
    "memory_monitor_interval_override",
    "disk_monitor_failure_retries",
    "autocluster",
    "feature_flags_file",
    "schema_dir",
    "extra_lager_sinks",
    "dead_letter_worker_consumer_prefetch",
    "stream_messages_soft_limit",
    "dead_letter_worker_publisher_confirm_timeout",
    "classic_queue_index_v2_segment_entry_count",
    "classic_queue_store_v2_max_cache_size",
    "classic_queue_store_v2_check_crc32",
    "writer_gc_threshold",
};

/// Settings of `rabbit` that have another name in rabbitmq.conf.
constexpr std::pair<const char*, const char*> kRenamed[] = {
    {"num_tcp_acceptors", "num_acceptors.tcp"},
    {"num_ssl_acceptors", "num_acceptors.ssl"},
    {"quorum_cluster_size", "quorum_queue.initial_cluster_size"},
};

/// Turns terms into option lines. Owner: parse_advanced's stack.
class Translator {
 public:
  explicit Translator(const std::string& file) : file_(file) {}

  Result<AdvancedText> run(const Term& all) {
    if (!all.is_list()) return wrong(all, "a list of applications is expected");
    for (const auto& app : all.items) {
      if (!app.is_tuple(2) || !app.items[0].is_scalar() || !app.items[1].is_list()) {
        return wrong(app, "{application, [settings]} is expected");
      }
      if (auto done = application(app.items[0].text, app.items[1]); !done) return done.error();
    }
    return std::move(out_);
  }

 private:
  Error wrong(const Term& at, std::string_view what) const {
    return make_error(Errc::invalid_argument, fmt::format("{}:{}: {}", file_, at.line, what));
  }
  void line(const std::string& key, const Term& value) { line(key, value.text, value.line); }
  void line(const std::string& key, const std::string& text, int number) {
    out_.lines.push_back({key, text, file_, number});
  }
  void note(const Term& at, std::string text) {
    out_.notes.push_back(fmt::format("{}:{}: {}", file_, at.line, text));
  }

  Result<void> application(const std::string& name, const Term& settings) {
    if (name != "rabbit" && name != "rabbitmq_management" && name != "rabbitmq_prometheus") {
      note(settings, fmt::format("settings of {} have no effect here", name));
      return {};
    }
    for (const auto& setting : settings.items) {
      if (!setting.is_tuple(2) || !setting.items[0].is_scalar()) {
        return wrong(setting,
                     fmt::format("{{key, value}} is expected, not {}", show_term(setting)));
      }
      const std::string& key = setting.items[0].text;
      const Term& value = setting.items[1];
      Result<bool> done = name == "rabbit" ? rabbit(key, value) : plugin(name, key, value);
      if (!done) return done.error();
      if (!done.value()) return unknown(name, key, setting);
    }
    return {};
  }

  Result<void> unknown(const std::string& app, const std::string& key, const Term& at) const {
    std::string hint;
    if (app == "rabbit") {
      const std::string near = nearest_key(key);
      if (!near.empty()) hint = fmt::format("; in rabbitmq.conf there is {}", near);
    }
    return make_error(Errc::unsupported,
                      fmt::format("{}:{}: this server has no counterpart of {}'s setting {} = {}{}",
                                  file_, at.line, app, key, show_term(at.items[1]), hint));
  }

  /// Numbers a list's items as key.1, key.2, ...
  Result<bool> numbered(const std::string& key, const std::string& pattern, const Term& list) {
    if (!list.is_list()) return wrong(list, key + " must be a list");
    out_.replaces.push_back(pattern);
    int number = 0;
    for (const auto& item : list.items) {
      if (!item.is_scalar())
        return wrong(item, fmt::format("{}: {} is not read", key, show_term(item)));
      line(key + "." + std::to_string(++number), item);
    }
    return true;
  }

  Result<bool> listeners(const std::string& kind, const Term& list) {
    if (!list.is_list()) return wrong(list, kind + " must be a list");
    out_.replaces.push_back(kind + ".$name");
    if (list.items.empty()) line(kind, "none", list.line);
    int number = 0;
    for (const auto& item : list.items) {
      const std::string key = fmt::format("{}.{}", kind, ++number);
      if (item.is_tuple(2) && item.items[0].is_scalar() && item.items[1].is_scalar()) {
        line(key, "[" + item.items[0].text + "]:" + item.items[1].text, item.line);
      } else if (item.is_scalar()) {
        line(key, item);
      } else {
        return wrong(item, "a listener is a port or {\"address\", port}");
      }
    }
    return true;
  }

  /// {key, value} pairs under a common beginning; atoms and keys without an option are noted.
  Result<bool> properties(const std::string& prefix, const Term& list) {
    if (!list.is_list()) return wrong(list, prefix + " must be a list");
    for (const auto& item : list.items) {
      if (item.is_scalar() || !item.is_tuple(2) || !item.items[0].is_scalar()) {
        note(item, fmt::format("{}: {} has no effect here", prefix, show_term(item)));
        continue;
      }
      const std::string key = prefix + "." + item.items[0].text;
      const Term& value = item.items[1];
      if (value.is_list() && find_option(key + ".1") != nullptr) {
        if (auto done = numbered(key, key + ".$num", value); !done) return done;
      } else if (key.ends_with(".linger") && value.is_tuple(2)) {
        line(key + ".on", value.items[0]);
        line(key + ".timeout", value.items[1]);
      } else if (value.is_scalar() && find_option(key) != nullptr) {
        line(key, value);
      } else {
        return make_error(Errc::unsupported, fmt::format("{}:{}: this server does not read {} = {}",
                                                         file_, item.line, key, show_term(value)));
      }
    }
    return true;
  }

  /// A limit that is a number or {kind, number}.
  Result<bool> limit(const std::string& key, const std::string& bare, const Term& value) {
    if (value.is_scalar()) {
      line(key + "." + bare, value);
      return true;
    }
    if (!value.is_tuple(2) || !value.items[0].is_scalar() || !value.items[1].is_scalar()) {
      return wrong(value, fmt::format("{}: {} is not read", key, show_term(value)));
    }
    const std::string& kind = value.items[0].text;
    line(key + (kind == "absolute" ? ".absolute" : ".relative"), value.items[1]);
    return true;
  }

  Result<bool> names(const std::string& key, const Term& list) {
    if (!list.is_list()) return wrong(list, key + " must be a list");
    out_.replaces.push_back(key + ".$name");
    if (list.items.empty() && find_option(key) != nullptr) line(key, "none", list.line);
    for (const auto& item : list.items) {
      std::string part;
      for (const char c : item.text) part += c == '.' ? std::string{"\\."} : std::string{c};
      line(key + "." + part, "true", item.line);
    }
    return true;
  }

  Result<bool> rabbit(const std::string& key, const Term& value) {
    if (key == "tcp_listeners") return listeners("listeners.tcp", value);
    if (key == "ssl_listeners") return listeners("listeners.ssl", value);
    if (key == "ssl_options" || key == "tcp_listen_options" || key == "credential_validator") {
      return properties(key, value);
    }
    if (key == "vm_memory_high_watermark") return limit(key, "relative", value);
    if (key == "disk_free_limit") return limit(key, "absolute", value);
    if (key == "loopback_users" || key == "default_user_tags") return names(key, value);
    if (key == "auth_mechanisms") return numbered(key, key + ".$num", value);
    if (key == "auth_backends") return backends(value);
    if (key == "default_permissions") return permissions(value);
    if (key == "cluster_nodes") return cluster_nodes(value);
    if (key == "log_levels") return log_levels(value);
    if (key == "log") return log(value);
    if (key == "default_consumer_prefetch") {
      if (!value.is_tuple(2)) return wrong(value, key + " must be {true or false, number}");
      line("warren.default_consumer_prefetch", value.items[1]);
      return true;
    }
    for (const auto& [old_name, name] : kRenamed) {
      if (key == old_name && value.is_scalar()) {
        line(name, value);
        return true;
      }
    }
    if (std::find(std::begin(kInternal), std::end(kInternal), key) != std::end(kInternal)) {
      note(value, fmt::format("{} has no effect here", key));
      return true;
    }
    const OptionSpec* spec = find_option(key);
    if (spec == nullptr || !value.is_scalar()) return false;
    line(key, value);
    return true;
  }

  Result<bool> backends(const Term& value) {
    if (!value.is_list()) return wrong(value, "auth_backends must be a list");
    for (const auto& item : value.items) {
      if (!item.is_scalar()) {
        return make_error(Errc::unsupported,
                          fmt::format("{}:{}: different backends for the two halves of access are "
                                      "not supported: {}",
                                      file_, item.line, show_term(item)));
      }
    }
    return numbered("auth_backends", "auth_backends.$num", value);
  }

  Result<bool> permissions(const Term& value) {
    if (!value.is_list() || value.items.size() != 3) {
      return wrong(value, "default_permissions must be [configure, write, read]");
    }
    line("default_permissions.configure", value.items[0]);
    line("default_permissions.write", value.items[1]);
    line("default_permissions.read", value.items[2]);
    return true;
  }

  Result<bool> cluster_nodes(const Term& value) {
    const bool with_kind = value.is_tuple(2) && value.items[1].is_scalar();
    if (with_kind) line("cluster_formation.node_type", value.items[1]);
    const std::string key = "cluster_formation.classic_config.nodes";
    return numbered(key, key + ".$num", with_kind ? value.items[0] : value);
  }

  Result<bool> log_levels(const Term& value) {
    if (!value.is_list()) return wrong(value, "log_levels must be a list");
    for (const auto& item : value.items) {
      if (!item.is_tuple(2)) return wrong(item, "{area, level} is expected");
      const std::string key = "log." + item.items[0].text + ".level";
      if (find_option(key) == nullptr) {
        note(item, fmt::format("there is no log area {}", item.items[0].text));
        continue;
      }
      line(key, item.items[1]);
    }
    return true;
  }

  Result<bool> log(const Term& value) {
    if (!value.is_list()) return wrong(value, "log must be a list");
    for (const auto& output : value.items) {
      if (!output.is_tuple(2) || !output.items[1].is_list()) {
        return wrong(output, "{output, [settings]} is expected");
      }
      const std::string name = output.items[0].text;
      for (const auto& item : output.items[1].items) {
        if (!item.is_tuple(2) || !item.items[1].is_scalar()) {
          note(item, fmt::format("log.{}: {} has no effect here", name, show_term(item)));
          continue;
        }
        const std::string& what = item.items[0].text;
        const bool whole = what == "enabled" || what == "file";
        const std::string key = "log." + name + (whole ? "" : "." + what);
        if (find_option(key) == nullptr) {
          note(item, fmt::format("log.{}: {} has no effect here", name, show_term(item)));
        } else {
          line(key, item.items[1]);
        }
      }
    }
    return true;
  }

  Result<bool> plugin(const std::string& app, const std::string& key, const Term& value) {
    const std::string prefix = app == "rabbitmq_management" ? "management" : "prometheus";
    if ((key == "listener" || key == "tcp_config") && value.is_list()) {
      return properties(prefix + ".tcp", value);
    }
    if (value.is_scalar() && find_option(prefix + "." + key) != nullptr) {
      line(prefix + "." + key, value);
    } else {
      note(value, fmt::format("{}'s {} has no effect here", app, key));
    }
    return true;
  }

  const std::string& file_;
  AdvancedText out_;
};

}  // namespace

Result<AdvancedText> parse_advanced(std::string_view text, const std::string& file) {
  auto term = parse_term(text, file);
  if (!term) return term.error();
  return Translator{file}.run(term.value());
}

}  // namespace warren::config
