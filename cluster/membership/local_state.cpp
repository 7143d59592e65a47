#include "cluster/membership/local_state.h"

#include <boost/json.hpp>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>

namespace warren::membership {

namespace json = boost::json;

namespace {

constexpr std::int64_t kFormat = 1;
constexpr std::size_t kFileMax = 1 << 20;

Error damaged(std::string what) {
  return make_error(Errc::corruption, "the cluster state file is damaged: " + std::move(what));
}

/// A hexadecimal id, or nothing when the text is none. "" is allowed and means none.
std::optional<std::string> id_of(const json::object& from, const char* key) {
  const json::value* value = from.if_contains(key);
  if (value == nullptr || !value->is_string()) return std::nullopt;
  auto bytes = from_hex({value->get_string().data(), value->get_string().size()});
  if (!bytes || (!bytes->empty() && bytes->size() != kIdBytes)) return std::nullopt;
  return bytes;
}

bool flag_of(const json::object& from, const char* key) {
  const json::value* value = from.if_contains(key);
  return value != nullptr && value->is_bool() && value->get_bool();
}

std::string text_of(const json::object& from, const char* key) {
  const json::value* value = from.if_contains(key);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

Result<metadata::MemberDef> member_of(const json::value& value) {
  const json::object* from = value.if_object();
  if (from == nullptr) return damaged("a member is no object");
  auto id = id_of(*from, "node_id");
  metadata::MemberDef member;
  if (!id || id->empty()) return damaged("a member has no valid node_id");
  member.node_id = *id;
  member.id = member_number(*id);
  member.name = text_of(*from, "name");
  member.ram = flag_of(*from, "ram");
  if (member.name.empty()) return damaged("a member has no name");
  return member;
}

/// A list of names that may lack; false when it is something else.
bool take_names(const json::object& from, const char* key, std::vector<std::string>& into) {
  const json::value* value = from.if_contains(key);
  if (value == nullptr) return true;
  const json::array* list = value->if_array();
  if (list == nullptr) return false;
  for (const auto& name : *list) {
    if (!name.is_string()) return false;
    into.emplace_back(name.get_string());
  }
  return true;
}

Error file_error(const char* what, const std::string& path) {
  return make_error(Errc::io, fmt::format("cannot {} {}: {}", what, path, std::strerror(errno)));
}

bool write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

}  // namespace

std::uint64_t member_number(std::string_view node_id) {
  std::uint64_t number = 0;
  for (std::size_t i = 0; i < 8 && i < node_id.size(); ++i)
    number = number << 8 | static_cast<unsigned char>(node_id[i]);
  return number == 0 ? 1 : number;
}

std::string make_id(const std::function<void(char*, std::size_t)>& random) {
  std::string id(kIdBytes, '\0');
  do random(id.data(), id.size());
  while (id.compare(0, 8, std::string_view("\0\0\0\0\0\0\0\0", 8)) == 0);
  return id;
}

std::string to_hex(std::string_view bytes) {
  std::string out;
  for (const char c : bytes) out += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return out;
}

std::optional<std::string> from_hex(std::string_view text) {
  const auto digit = [](char c) -> int {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return -1;
  };
  if (text.size() % 2 != 0) return std::nullopt;
  std::string out;
  for (std::size_t i = 0; i < text.size(); i += 2) {
    const int high = digit(text[i]), low = digit(text[i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    out.push_back(static_cast<char>(high * 16 + low));
  }
  return out;
}

std::string encode(const LocalState& state) {
  json::array members;
  for (const auto& member : state.members)
    members.push_back(json::object{
        {"name", member.name}, {"node_id", to_hex(member.node_id)}, {"ram", member.ram}});
  json::array forget;
  for (const auto& name : state.forget) forget.push_back(json::value(name));
  json::array flags;
  for (const auto& flag : state.flags) flags.push_back(json::value(flag));
  return json::serialize(json::object{{"format", kFormat},
                                      {"node_id", to_hex(state.node_id)},
                                      {"incarnation", state.incarnation},
                                      {"cluster_id", to_hex(state.cluster_id)},
                                      {"cluster_name", state.cluster_name},
                                      {"ram", state.ram},
                                      {"wipe", state.wipe},
                                      {"synced", state.synced},
                                      {"joining_as", to_hex(state.joining_as)},
                                      {"joining_cluster", to_hex(state.joining_cluster)},
                                      {"force_boot", state.force_boot},
                                      {"forget", std::move(forget)},
                                      {"taking_over", state.taking_over},
                                      {"members", std::move(members)},
                                      {"flags", std::move(flags)},
                                      {"release", state.release}}) +
         "\n";
}

Result<LocalState> decode(std::string_view text) {
  boost::system::error_code ec;
  const json::value parsed = json::parse({text.data(), text.size()}, ec);
  const json::object* from = ec ? nullptr : parsed.if_object();
  if (from == nullptr) return damaged("no JSON object");
  const json::value* format = from->if_contains("format");
  if (format == nullptr || !format->is_int64()) return damaged("no format");
  if (format->get_int64() > kFormat)
    return make_error(Errc::unsupported, fmt::format("the cluster state file has format {}: written by a "
                                                     "newer release", format->get_int64()));
  LocalState state;
  const auto node_id = id_of(*from, "node_id"), cluster_id = id_of(*from, "cluster_id"),
             joining = id_of(*from, "joining_as"),
             // Files of before do not have it.
             joining_cluster = from->contains("joining_cluster") ? id_of(*from, "joining_cluster") : std::string();
  if (!node_id || node_id->empty()) return damaged("no valid node_id");
  if (!cluster_id || !joining || !joining_cluster) return damaged("no valid cluster_id or joining_as");
  state.node_id = *node_id;
  state.cluster_id = *cluster_id;
  state.joining_as = *joining;
  state.joining_cluster = *joining_cluster;
  const json::value* incarnation = from->if_contains("incarnation");
  if (incarnation == nullptr || !incarnation->is_int64() || incarnation->get_int64() < 0)
    return damaged("no valid incarnation");
  state.incarnation = static_cast<std::uint64_t>(incarnation->get_int64());
  state.cluster_name = text_of(*from, "cluster_name");
  state.ram = flag_of(*from, "ram");
  state.wipe = flag_of(*from, "wipe");
  state.synced = flag_of(*from, "synced");
  state.force_boot = flag_of(*from, "force_boot");
  state.taking_over = flag_of(*from, "taking_over");
  if (!take_names(*from, "forget", state.forget)) return damaged("forget is no list of names");
  if (!take_names(*from, "flags", state.flags)) return damaged("flags is no list of names");
  state.release = text_of(*from, "release");
  const json::value* members = from->if_contains("members");
  if (members == nullptr || !members->is_array()) return damaged("no members");
  for (const auto& item : members->get_array()) {
    auto member = member_of(item);
    if (!member) return member.error();
    state.members.push_back(std::move(*member));
  }
  return state;
}

Result<StateLock> StateLock::take(const std::string& data_dir) {
  // The directory itself: no file to own, and a tool run by root leaves nothing behind that the service cannot open.
  const int fd = ::open(data_dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return file_error("open", data_dir);
  StateLock lock(fd);
  while (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    if (errno == EINTR) continue;
    if (errno == EWOULDBLOCK)
      return make_error(Errc::conflict, fmt::format("the data directory {} is in use by another process: its node is "
                                                    "already running or starting, or a tool changes it", data_dir));
    return file_error("lock", data_dir);
  }
  return lock;
}

StateLock::~StateLock() {
  if (fd_ >= 0) ::close(fd_);
}

Result<std::optional<LocalState>> StateFile::read() const {
  const int fd = ::open(path().c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0 && errno == ENOENT) return std::optional<LocalState>();
  if (fd < 0) return file_error("open", path());
  ::close(fd);
  std::ifstream in(path(), std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(in)), {});
  if (in.bad()) return file_error("read", path());
  if (text.size() > kFileMax) return damaged("too large");
  auto state = decode(text);
  if (!state) return make_error(state.error().code, state.error().text + " (" + path() + ")");
  return std::optional<LocalState>(std::move(*state));
}

Result<void> StateFile::write(const LocalState& state) const {
  const std::string fresh = path() + ".new";
  // Root may write here for the tools, in a directory of the service's user: no link is followed.
  ::unlink(fresh.c_str());
  const int fd = ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0) return file_error("write", fresh);
  struct stat old {};
  const bool anothers = ::lstat(path().c_str(), &old) == 0 && S_ISREG(old.st_mode) && old.st_uid != ::geteuid();
  if (anothers && ::fchown(fd, old.st_uid, old.st_gid) != 0) {
    ::close(fd);
    return file_error("keep the owner of", path());
  }
  const bool written = write_all(fd, encode(state)) && ::fsync(fd) == 0;
  ::close(fd);
  if (!written || ::rename(fresh.c_str(), path().c_str()) != 0) return file_error("write", path());
  const int directory = ::open(directory_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) return file_error("sync", directory_);
  const bool synced = ::fsync(directory) == 0;
  ::close(directory);
  if (!synced) return file_error("sync", directory_);
  return {};
}

}  // namespace warren::membership
