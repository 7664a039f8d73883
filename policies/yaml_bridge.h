// Reads YAML (JSON is a subset of it) into a protobuf message by reflection, strictly, and
// remembers where everything stood. Refused, with line and column, all at once: unknown and
// duplicate keys, anchors, aliases, merge keys, a second document, wrong types, empty values,
// numbers out of range, NaN and infinities, text that is not UTF-8, files too large or too deep. A
// plain `yes` or `no` is text, as in YAML 1.2; only true and false are booleans. Held by
// tests/policies/yaml_bridge_test.cc.

#ifndef NEARFAR_POLICIES_YAML_BRIDGE_H_
#define NEARFAR_POLICIES_YAML_BRIDGE_H_

#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "google/protobuf/message.h"

namespace nearfar {

struct Position {
  int line = 1, column = 1;  // both from 1
  bool operator==(const Position&) const = default;
};

struct YamlError {
  Position position;
  std::string field;  // "far[1].price.input_usd_per_mtok", "" = the document
  std::string message;
};

struct YamlLimits {
  size_t bytes = size_t{1} << 20;
  int depth = 64;
};

// What a file held, where, and what was wrong with it.
class YamlReading {
 public:
  // Where the field stands; for one that is absent its nearest parent's place.
  Position PositionOf(const std::string& field) const;
  bool Has(const std::string& field) const { return positions_.count(field) > 0; }

  // The first thousand are kept; then one says that there are more.
  void AddError(const std::string& field, std::string message) {
    AddError(PositionOf(field), field, std::move(message));
  }
  void AddError(Position position, const std::string& field, std::string message);
  // No further error is kept: a reader may stop here.
  bool is_full() const { return errors_.size() > kMaxErrors; }
  void SetPosition(const std::string& field, Position position) { positions_[field] = position; }

  const std::vector<YamlError>& errors() const { return errors_; }
  // True if an error names this field or something inside it.
  bool HasErrorAt(const std::string& field) const;
  // True if an error names this field, something inside it, or something that holds it.
  bool HasErrorOn(const std::string& field) const;
  // The document is a map: its keys were read as far as they could be.
  bool is_map() const { return Has(""); }

  // One line an error, in the order of the file: "file:line:col: field: message".
  std::string Format(const std::string& file) const;

 private:
  static constexpr size_t kMaxErrors = 1000;

  std::map<std::string, Position> positions_;
  std::vector<YamlError> errors_;
  std::set<std::string> blamed_;   // the fields of the errors
  std::set<std::string> holding_;  // those, and all fields that hold them
};

// Fills message from text as far as it can; the reading holds the errors.
YamlReading ReadYaml(std::string_view text, google::protobuf::Message* message,
                     const YamlLimits& limits = {});

}  // namespace nearfar

#endif  // NEARFAR_POLICIES_YAML_BRIDGE_H_
