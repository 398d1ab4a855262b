package tests

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
)

// pair is key=value in slog's text form, the value quoted where it must be.
var pair = regexp.MustCompile(`([^\s="]+)=("(?:[^"\\]|\\.)*"|\S*)`)

// parseRecord reads one line of the log: JSON, or text under --dev. Anything else gives an empty record.
func parseRecord(line string) map[string]string {
	record := map[string]string{}
	var fields map[string]any
	if json.Unmarshal([]byte(line), &fields) == nil {
		for key, value := range fields {
			record[key] = fmt.Sprint(value)
		}
		return record
	}
	for _, found := range pair.FindAllStringSubmatch(line, -1) {
		value := found[2]
		if unquoted, err := strconv.Unquote(value); err == nil {
			value = unquoted
		}
		record[found[1]] = value
	}
	return record
}
