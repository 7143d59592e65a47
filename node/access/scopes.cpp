#include "node/access/scopes.h"

namespace warren::access {

namespace {

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

std::optional<Wildcard> Wildcard::parse(std::string_view encoded) {
  Wildcard out;
  for (std::size_t i = 0; i < encoded.size(); ++i) {
    std::string& piece = out.pieces_.back();
    if (encoded[i] == '*') {
      if (out.pieces_.size() > 1 && piece.empty()) continue;  // two stars are one
      out.pieces_.emplace_back();
    } else if (encoded[i] == '+') {
      piece += ' ';
    } else if (encoded[i] == '%') {
      if (encoded.size() - i < 3) return std::nullopt;
      const int high = hex_value(encoded[i + 1]), low = hex_value(encoded[i + 2]);
      if (high < 0 || low < 0) return std::nullopt;
      piece += static_cast<char>(high * 16 + low);
      i += 2;
    } else {
      piece += encoded[i];
    }
  }
  return out;
}

bool Wildcard::matches(std::string_view text) const {
  if (pieces_.size() == 1) return text == pieces_.front();
  if (!text.starts_with(pieces_.front())) return false;
  text.remove_prefix(pieces_.front().size());
  // The leftmost place for each piece leaves the most for the next; the last one has only the end.
  for (std::size_t i = 1; i + 1 < pieces_.size(); ++i) {
    const auto at = text.find(pieces_[i]);
    if (at == text.npos) return false;
    text.remove_prefix(at + pieces_[i].size());
  }
  return text.ends_with(pieces_.back());
}

std::optional<Scope> parse_scope(std::string_view text) {
  const auto colon = text.find(':');
  if (colon == text.npos) return std::nullopt;
  const std::string_view what = text.substr(0, colon);
  Scope scope;
  if (what == "configure") scope.permission = Permission::configure;
  else if (what == "write") scope.permission = Permission::write;
  else if (what == "read") scope.permission = Permission::read;
  else return std::nullopt;
  text.remove_prefix(colon + 1);
  const auto first = text.find('/');
  if (first == text.npos) return std::nullopt;
  const auto second = text.find('/', first + 1);
  if (second != text.npos && text.find('/', second + 1) != text.npos) return std::nullopt;
  const auto vhost = Wildcard::parse(text.substr(0, first));
  const auto name = Wildcard::parse(
      text.substr(first + 1, second == text.npos ? text.npos : second - first - 1));
  if (!vhost || !name) return std::nullopt;
  scope.vhost = *vhost;
  scope.name = *name;
  if (second == text.npos) return scope;
  scope.routing_key = Wildcard::parse(text.substr(second + 1));
  if (!scope.routing_key) return std::nullopt;
  return scope;
}

}  // namespace warren::access
