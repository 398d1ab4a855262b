package config

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/alecthomas/kong"
)

// Command is a parsed command line. The settings apply to every command.
type Command struct {
	Settings
	Do   any  // Serve, Check, or a command of the operator: UserAdd, UserList, …
	JSON bool // write JSON
}

// commandLine defines the command line for kong.
type commandLine struct {
	Settings
	Serve Serve `cmd:"" default:"1" help:"Run the server. This is the default command."`
	Check Check `cmd:"" help:"Check the database file for damage. No server may have it open, so stop the server or check a copy. Exits with 0 if the file is undamaged, 1 if not."`
	User  struct {
		JSON    bool        `help:"Print JSON, for scripts."`
		Add     UserAdd     `cmd:"" help:"Create an account. Prompts for its password, or reads it from standard input."`
		List    UserList    `cmd:"" help:"List the accounts."`
		Show    UserShow    `cmd:"" help:"Show one account."`
		Admin   UserAdmin   `cmd:"" help:"Make an account an administrator."`
		Disable UserDisable `cmd:"" help:"Disable an account: it cannot log in, and its sessions end."`
		Reset   UserReset   `cmd:"" help:"Create a link with which the account's owner chooses a new password. It works once, within an hour."`
		Logout  UserLogout  `cmd:"" help:"End all sessions of an account."`
		Remove  UserRemove  `cmd:"" help:"Delete an account and everything it owns."`
	} `cmd:"" help:"Manage accounts. Works whether the server is running or not."`
}

// The commands. Package main executes them.
type (
	Serve struct{}
	Check struct {
		JSON bool `help:"Print JSON, for scripts."`
	}
	UserAdd struct {
		Name  string `arg:"" help:"Name of the new account."`
		Admin bool   `help:"Make the account an administrator."`
		Link  bool   `help:"Instead of asking for a password, create a link with which the owner chooses one. It works once, within an hour."`
	}
	UserList struct {
		Search string `placeholder:"PREFIX" help:"List only names that begin with PREFIX."`
	}
	UserShow struct {
		Name string `arg:"" help:"Name of the account."`
	}
	UserAdmin struct {
		Name string `arg:"" help:"Name of the account."`
		Off  bool   `help:"Revoke administrator rights."`
	}
	UserDisable struct {
		Name string `arg:"" help:"Name of the account."`
		Off  bool   `help:"Enable the account again."`
	}
	UserReset struct {
		Name string `arg:"" help:"Name of the account."`
	}
	UserLogout struct {
		Name string `arg:"" help:"Name of the account."`
	}
	UserRemove struct {
		Name string `arg:"" help:"Name of the account."`
		Yes  bool   `help:"Do not ask for confirmation."`
	}
)

// ErrHelp means that help was printed and the program should exit.
var ErrHelp = errors.New("help was printed")

// Parse reads args (without the program's name) and the environment, and checks
// the settings. It prints help to stdout if args request it. The error is
// ErrHelp, or one line that names the flag.
func Parse(args []string, stdout io.Writer) (Command, error) {
	var line commandLine
	helped := false
	parser, err := kong.New(&line,
		kong.Name("latchkey"),
		kong.Description("A web app whose front door already works."),
		kong.Writers(stdout, io.Discard),
		// Do not exit: Parse returns ErrHelp instead.
		kong.Exit(func(int) { helped = true }),
	)
	if err != nil {
		return Command{}, fmt.Errorf("command line: %w", err)
	}
	parsed, err := parser.Parse(args)
	if helped {
		return Command{}, ErrHelp
	}
	if err != nil {
		return Command{}, errors.New(printable(err.Error()))
	}
	if err := line.check(); err != nil {
		return Command{}, err
	}
	line.Origin = canonicalOrigin(line.Origin)
	return Command{Settings: line.Settings, Do: parsed.Selected().Target.Interface(), JSON: line.User.JSON || line.Check.JSON}, nil
}

// printable replaces line breaks and terminal control characters in a message
// that quotes input.
func printable(message string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, message)
}
