package config

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/alecthomas/kong"
)

// Command is what the command line asks for. Settings count for every command:
// they say which database it is about.
type Command struct {
	Settings
	Do   any  // Serve, Check, or one of the operator's: UserAdd, UserList, …
	JSON bool // answer with JSON
}

// commandLine is what may stand on the command line.
type commandLine struct {
	Settings
	Serve Serve `cmd:"" default:"1" help:"Run the server. This is what happens without a command."`
	Check Check `cmd:"" help:"Check that the database file is whole, while no server runs or on a copy. The exit code is 0 if it is, 1 if not."`
	User  struct {
		JSON    bool        `help:"Print JSON, for scripts."`
		Add     UserAdd     `cmd:"" help:"Make an account. Asks for its password, or reads it from standard input."`
		List    UserList    `cmd:"" help:"List the accounts."`
		Show    UserShow    `cmd:"" help:"Show one account."`
		Admin   UserAdmin   `cmd:"" help:"Make an account an administrator."`
		Disable UserDisable `cmd:"" help:"Let an account log in no more, and end its sessions."`
		Reset   UserReset   `cmd:"" help:"Make a link with which its owner chooses a new password, once, within an hour."`
		Logout  UserLogout  `cmd:"" help:"End all sessions of an account."`
		Remove  UserRemove  `cmd:"" help:"Remove an account and everything it owns."`
	} `cmd:"" help:"See and change accounts, whether the server runs or not."`
}

// The commands. What they do is for main to say.
type (
	Serve struct{}
	Check struct {
		JSON bool `help:"Print JSON, for scripts."`
	}
	UserAdd struct {
		Name  string `arg:"" help:"What the account is to be called."`
		Admin bool   `help:"Make it an administrator."`
		Link  bool   `help:"Ask for no password; make a link with which its owner chooses one, once, within an hour."`
	}
	UserList struct {
		Search string `placeholder:"PREFIX" help:"Only names that begin so."`
	}
	UserShow struct {
		Name string `arg:"" help:"What the account is called."`
	}
	UserAdmin struct {
		Name string `arg:"" help:"What the account is called."`
		Off  bool   `help:"Make it an administrator no more."`
	}
	UserDisable struct {
		Name string `arg:"" help:"What the account is called."`
		Off  bool   `help:"Let it log in again."`
	}
	UserReset struct {
		Name string `arg:"" help:"What the account is called."`
	}
	UserLogout struct {
		Name string `arg:"" help:"What the account is called."`
	}
	UserRemove struct {
		Name string `arg:"" help:"What the account is called."`
		Yes  bool   `help:"Do not ask whether this is meant."`
	}
)

// ErrHelp means that help was asked for and printed, and nothing is left to do.
var ErrHelp = errors.New("help was printed")

// Parse reads args (without the program's name) and the environment, checks the
// settings, and prints help to stdout if args ask for it. The error is one line
// that names the flag, or ErrHelp.
func Parse(args []string, stdout io.Writer) (Command, error) {
	var line commandLine
	helped := false
	parser, err := kong.New(&line,
		kong.Name("latchkey"),
		kong.Description("A web app whose front door already works."),
		kong.Writers(stdout, io.Discard),
		// Help must come back to main, which alone may end the process.
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
	line.Origin = asBrowsersWrite(line.Origin)
	return Command{Settings: line.Settings, Do: parsed.Selected().Target.Interface(), JSON: line.User.JSON || line.Check.JSON}, nil
}

// printable keeps a message that repeats what was typed on one line, and away
// from the controls of the terminal.
func printable(message string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, message)
}
